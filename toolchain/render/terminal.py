"""How text reaches a terminal: titles, wrapped paragraphs, aligned columns, harmless names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_GAP = "  "


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

    A line longer than the terminal is wide runs on: a cut number is a wrong number.
    """
    wide = widths([head, *rows])
    console.print(Text(line(head, wide, numbers), style="dim"), soft_wrap=True)
    for number, row in enumerate(rows, 1):
        style = "bold" if total and number == len(rows) else ""
        console.print(Text(line(row, wide, numbers), style=style), soft_wrap=True)


def widths(rows: Iterable[Sequence[str]]) -> list[int]:
    """Return how many cells each column needs."""
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def line(cells: Sequence[str], wide: Sequence[int], numbers: range) -> str:
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
