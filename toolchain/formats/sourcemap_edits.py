"""Where each place of a text was before pieces of it were replaced: exact to the character."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from toolchain.formats.sourcemap import Origin, Place, SourceMap
from toolchain.formats.sourcemap_mappings import Segment

_MARK = re.compile(r"""__RSPACK_ESM_CHUNK_[^"'`]+""")  # rspack: a chunk whose name is not known yet
_STATED = re.compile(rb"^//[#@] sourceMappingURL=\S+\s*\Z", re.MULTILINE)
_WORD = re.compile(r"\w+|[^\w\s]")  # where anything of JavaScript may begin, as bundlers see it


class _Run(NamedTuple):
    """Text from ``column`` on: as it was at a place, or put there instead of what was."""

    column: int
    line: int
    source_column: int
    kept: bool
    text: str


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


def stale_map(data: bytes) -> dict[tuple[int, int], str]:
    """Return the edit that takes away what a module says of its map, which fits it no more.

    esbuild, for one, reads a map that is inside of a module.
    """
    found = _STATED.search(data)
    return {found.span(): ""} if found else {}


def as_map(found: EditedText) -> SourceMap:
    """Return the map of an edited text: a segment for each word and sign, and each replacement."""
    lines = []
    for runs in found.lines:
        line: list[Segment] = []
        for run in runs:
            if not run.kept:
                line += [Segment(run.column, 0, run.line, run.source_column)] if run.text else []
                continue
            line += [
                Segment(run.column + at, 0, run.line, run.source_column + at)
                for at in _starts(run.text)
            ]
        lines.append(tuple(line))
    return SourceMap((found.source,), (), tuple(lines))


def _starts(text: str) -> list[int]:
    """Return where words and signs begin, in UTF-16 code units."""
    starts = [word.start() for word in _WORD.finditer(text)]
    return starts if text.isascii() else [_units(text[:at]) for at in starts]


def verbatim(found: SourceMap, text: str, sources: Mapping[str, str]) -> Origin:
    """Return the origins that a map of ``text`` gives, between its segments to the character.

    Some bundlers write a segment for each statement only. From there on, a place is as far from its
    origin as in the source, as long as both texts are the same; else the segment is all there is.
    """
    lines = [_utf16(line) for line in text.split("\n")]
    inner = {name: [_utf16(line) for line in all_.split("\n")] for name, all_ in sources.items()}

    def original(line: int, column: int) -> Place | None:
        place, segment = found.original(line, column), found.segment(line, column)
        if place is None or segment is None or line >= len(lines):
            return place
        if place.line >= len(inner.get(place.source, ())):
            return place
        between = lines[line][2 * segment.column : 2 * column]
        there = inner[place.source][place.line][2 * place.column :]
        if not there.startswith(between):
            return place
        return replace(place, column=place.column + column - segment.column)

    return original


def named(found: SourceMap, marked: str, text: str) -> SourceMap:
    """Return the map of ``marked`` as that of ``text``, which has names where there marks are.

    Errors:
        ValueError: the two texts differ in anything else.
    """
    before, after = marked.split("\n"), text.split("\n")
    if len(before) != len(after):
        raise ValueError("the texts have different lines")
    lines = []
    for number, segments in enumerate(found.lines):
        moves = _moves(before[number], after[number]) if number < len(before) else []
        lines.append(
            tuple(
                s._replace(column=s.column + sum(by for at, by in moves if at <= s.column))
                for s in segments
            )
        )
    return replace(found, lines=tuple(lines))


def _moves(before: str, after: str) -> list[tuple[int, int]]:
    """Return from which column of a line on what follows lies how much further to the right."""
    moves: list[tuple[int, int]] = []
    first, *rest = _MARK.split(before)
    at, there = len(first), len(first)
    pieces = [(mark, piece) for mark, piece in zip(_MARK.findall(before), rest, strict=True)]
    same = after.startswith(first)
    for mark, piece in pieces:
        end = after.find(piece[:1], there)  # the quote behind the name
        at += len(mark)
        moves.append((_units(before[:at]), end - there - len(mark)))
        same = same and end >= 0 and after.startswith(piece, end)
        at, there = at + len(piece), end + len(piece)
    if not same or there != len(after):
        raise ValueError("a line differs in more than names")
    return moves


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le", errors="surrogatepass")


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
        self.lines[-1].append(_Run(self.column, self.line, self.source_column, kept, text))
        self.column += _units(text)


def _units(text: str) -> int:
    """Return the length in UTF-16 code units."""
    return len(text) + sum(c > "\uffff" for c in text)
