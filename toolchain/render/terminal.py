"""How text reaches a terminal: titles, wrapped paragraphs, aligned columns, harmless names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_GAP = "  "
_INDENT = "    "


def plain(text: str) -> str:
    r"""Return ``text`` with what a terminal would obey (escape codes, line breaks) spelled out.

    >>> plain("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text
    )


def title(console: Console, text: str) -> None:
    """Print a title after an empty line."""
    console.print()
    wrapped(console, Text(text, style="bold"))


def paragraph(console: Console, text: str) -> None:
    """Print an indented remark."""
    wrapped(console, Text(text, style="dim"), indent=4)


def wrapped(console: Console, text: Text, *, indent: int = 0) -> None:
    """Print ``text`` in lines that fit."""
    for one in text.wrap(console, max(console.width - indent, 1), overflow="fold"):
        one.rstrip()
        one.pad_left(indent)
        console.print(one, soft_wrap=True)


def grid(
    console: Console,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: range,
    total: bool = False,
) -> None:
    """Print aligned columns, those in ``numbers`` on the right.

    A name that leaves too little room has a line of its own. What is longer even so runs on: a cut
    number is a wrong number.
    """
    columns = fitted([head, *rows], numbers, console.width)
    console.print(Text("\n".join(columns.lines(head)), style="dim"), soft_wrap=True)
    for number, row in enumerate(rows, 1):
        style = "bold" if total and number == len(rows) else ""
        console.print(Text("\n".join(columns.lines(row)), style=style), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Columns:
    """How wide each column is, and which one has the names that may be longer."""

    wide: Sequence[int]
    numbers: range
    names: int

    def lines(self, row: Sequence[str]) -> list[str]:
        """Return ``row`` as one line, or as two where its name is longer than the column."""
        at = self.names
        if cell_len(row[at]) <= self.wide[at]:
            return [_line(row, self.wide, self.numbers)]
        if at == len(row) - 1:
            return [_line(row[:at], self.wide[:at], self.numbers), f"{_INDENT}{row[at]}"]
        name = _line(row[:at], self.wide[:at], self.numbers)
        blank = [*[""] * (at + 1), *row[at + 1 :]]
        return [_GAP.join(filter(None, (name, row[at]))), _line(blank, self.wide, self.numbers)]


def fitted(rows: Sequence[Sequence[str]], numbers: range, width: int) -> Columns:
    """Return columns for ``rows``, the head first, that are ``width`` cells wide if they can be."""
    wide = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    names = max((n for n in range(len(wide)) if n not in numbers), key=lambda n: wide[n])
    over = sum(wide) + len(_GAP) * (len(wide) - 1) - width
    if over > 0:
        fit = [size for row in rows if (size := cell_len(row[names])) <= wide[names] - over]
        wide[names] = max((cell_len(rows[0][names]), *fit))
    return Columns(wide, numbers, names)


def _line(cells: Sequence[str], wide: Sequence[int], numbers: range) -> str:
    """Return a row as a line, the columns in ``numbers`` on the right."""
    padded = []
    for number, (cell, width) in enumerate(zip(cells, wide, strict=True)):
        space = " " * (width - cell_len(cell))
        padded.append(space + cell if number in numbers else cell + space)
    return _GAP.join(padded).rstrip()


def mark(console: Console, look: tuple[str, str, str]) -> tuple[str, str]:
    """Return the mark that the terminal can show, and its style."""
    sign, ascii_sign, style = look
    return ascii_sign if console.options.ascii_only else sign, style
