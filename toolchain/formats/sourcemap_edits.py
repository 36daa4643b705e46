"""Where each place of a text was before pieces of it were replaced: exact to the character."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from toolchain.formats.sourcemap import Place


class _Run(NamedTuple):
    """Text from ``column`` on: as it was at a place, or put there instead of what was."""

    column: int
    line: int
    source_column: int
    kept: bool


@dataclass(frozen=True, slots=True)
class EditedText:
    """A text with replacements; ``original`` has the form that ``compose`` asks for."""

    source: str
    lines: tuple[tuple[_Run, ...], ...]

    def original(self, line: int, column: int) -> Place | None:
        """Return where a place was; what was put in was where the replaced text began."""
        if not 0 <= line < len(self.lines):
            return None
        runs = self.lines[line]
        run = runs[bisect_right(runs, column, key=lambda r: r.column) - 1]
        more = column - run.column if run.kept else 0
        return Place(self.source, run.line, run.source_column + more)


def edited_text(source: str, data: bytes, edits: Mapping[tuple[int, int], str]) -> EditedText:
    """Return ``data``, which is ``source``, with byte ranges replaced by text; both are UTF-8."""
    walk = _Walk()
    at = 0
    for (start, end), text in sorted(edits.items()):
        walk.copy(data[at:start].decode("utf-8", errors="replace"))
        walk.replace(data[start:end].decode("utf-8", errors="replace"), text)
        at = end
    walk.copy(data[at:].decode("utf-8", errors="replace"))
    return EditedText(source, tuple(map(tuple, walk.lines)))


@dataclass
class _Walk:
    """Goes through a text and its edited copy at once."""

    lines: list[list[_Run]] = field(default_factory=lambda: [[]])
    column: int = 0
    line: int = 0
    source_column: int = 0

    def copy(self, text: str) -> None:
        """Pass text that is in both."""
        first, *others = text.split("\n")
        self._run(first, kept=True)
        self.source_column += _units(first)
        for line in others:
            self.line, self.source_column = self.line + 1, 0
            self._next_line()
            self._run(line, kept=True)
            self.source_column += _units(line)

    def replace(self, old: str, new: str) -> None:
        """Pass ``old`` in the source and ``new`` in the copy."""
        first, *others = new.split("\n")
        self._run(first, kept=False)
        for line in others:
            self._next_line()
            self._run(line, kept=False)
        gone = old.split("\n")
        self.line += len(gone) - 1
        self.source_column = _units(gone[-1]) + (self.source_column if len(gone) == 1 else 0)

    def _next_line(self) -> None:
        self.lines.append([])
        self.column = 0

    def _run(self, text: str, *, kept: bool) -> None:
        self.lines[-1].append(_Run(self.column, self.line, self.source_column, kept))
        self.column += _units(text)


def _units(text: str) -> int:
    """Return the length in UTF-16 code units."""
    return len(text) + sum(c > "\uffff" for c in text)
