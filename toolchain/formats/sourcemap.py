r"""Source maps: where each place of a script came from, through any number of rewrites.

Lines and columns count from 0 here, columns in UTF-16 code units, as the format has them.

Source: ECMA-426, Source map format (version 3 maps, index maps with ``sections``, VLQ in base64).

>>> found = parse(b'{"version": 3, "sources": ["a.ts"], "names": [], "mappings": "AAAA,IAEI"}')
>>> found.original(0, 6)
Place(source='a.ts', line=2, column=4, name='')
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from posixpath import dirname, join, normpath
from typing import Any

from toolchain.errors import FormatError
from toolchain.formats.sourcemap_mappings import Segment, decode, encode

_VERSION = 3
_HINT = "build the script and its map anew"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in an original file, and what is called there if the map says so."""

    source: str
    line: int
    column: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class SourceMap:
    """A map: for each generated line its segments, by column. ``contents`` may hold sources."""

    sources: tuple[str, ...]
    names: tuple[str, ...]
    lines: tuple[tuple[Segment, ...], ...]
    contents: tuple[str | None, ...] = ()

    def original(self, line: int, column: int) -> Place | None:
        """Return where a generated place came from; None where the map does not say."""
        found = self.segment(line, column)
        if found is None or found.source < 0:
            return None
        name = self.names[found.name] if found.name >= 0 else ""
        return Place(self.sources[found.source], found.line, found.source_column, name)

    def segment(self, line: int, column: int) -> Segment | None:
        """Return the segment that a generated place lies in; None before the first of its line."""
        segments = self.lines[line] if 0 <= line < len(self.lines) else ()
        at = bisect_left(segments, (column + 1,)) - 1  # less than any segment of that column
        return segments[at] if at >= 0 else None


def parse(data: bytes) -> SourceMap:
    """Read a map, an index map included; paths are joined with ``sourceRoot``.

    Errors:
        FormatError: not JSON, not a map of version 3, mappings that make no sense.
    """
    text = data.removeprefix(b")]}'\n")  # a guard against inclusion, which the format allows
    try:
        fields = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError("the source map is not JSON", 0, hint=_HINT) from error
    try:
        return _indexed(fields) if "sections" in fields else _plain(fields)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"the source map makes no sense: {error!r}", 0, hint=_HINT) from error


def _plain(fields: Any) -> SourceMap:  # noqa: ANN401 - JSON
    if fields["version"] != _VERSION:
        raise ValueError(f"version {fields['version']!r}")
    root = fields.get("sourceRoot") or ""
    sources = tuple(_joined(root, s or "") for s in fields["sources"])
    names = tuple(map(str, fields.get("names", ())))
    lines = tuple(decode(fields["mappings"]))
    for segment in (s for line in lines for s in line):
        if segment.source >= len(sources) or segment.name >= len(names):
            raise ValueError(f"a segment names source {segment.source}, name {segment.name}")
    contents = tuple(fields.get("sourcesContent") or ())
    return SourceMap(sources, names, lines, contents[: len(sources)])


def _joined(root: str, source: str) -> str:
    if not root or "://" in source or source.startswith("/"):
        return source
    return root.rstrip("/") + "/" + source if "://" in root else normpath(join(root, source))


def _indexed(fields: Any) -> SourceMap:  # noqa: ANN401 - JSON
    """Put the maps of all sections one behind the other."""
    building = Building()
    for section in fields["sections"]:
        line, column = section["offset"]["line"], section["offset"]["column"]
        building.append(_plain(section["map"]), line, column)
    return building.built()


def dump(found: SourceMap, *, file: str = "") -> bytes:
    """Return a map as JSON, the same bytes for the same map."""
    fields: dict[str, object] = {"version": _VERSION}
    if file:
        fields["file"] = file
    fields |= {"sources": found.sources, "names": found.names, "mappings": encode(found.lines)}
    if any(found.contents):
        fields["sourcesContent"] = found.contents
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def seen_from_above(found: SourceMap, path: str) -> SourceMap:
    """Return the map of the script at ``path`` with its sources named as ``path`` is.

    >>> seen_from_above(SourceMap(("../src/a.ts",), (), ()), "app/main.js").sources
    ('src/a.ts',)
    """
    sources = (s if "://" in s else normpath(join(dirname(path), s)) for s in found.sources)
    return replace(found, sources=tuple(sources))


Origin = Callable[[int, int], Place | None]
"""Tells where a place of a script, by line and column, came from: ``SourceMap.original``."""


def compose(outer: SourceMap, inner: Mapping[str, Origin]) -> SourceMap:
    """Return the map of a script all the way back: sources in ``inner`` are themselves made.

    A place whose origin ``inner`` does not know has none: that is said, not guessed.
    """
    building = Building()
    for line in outer.lines:
        building.lines.append([])
        for segment in line:
            building.add(segment.column, _traced(outer, segment, inner))
    return building.built(dict(zip(outer.sources, outer.contents, strict=False)))


def _traced(outer: SourceMap, segment: Segment, inner: Mapping[str, Origin]) -> Place | None:
    if segment.source < 0:
        return None
    source = outer.sources[segment.source]
    name = outer.names[segment.name] if segment.name >= 0 else ""
    if source not in inner:
        return Place(source, segment.line, segment.source_column, name)
    found = inner[source](segment.line, segment.source_column)
    if found is None:
        return None
    return Place(found.source, found.line, found.column, found.name or name)


class Building:
    """A map under construction: sources and names get their numbers as they are met."""

    def __init__(self) -> None:
        self.lines: list[list[Segment]] = []
        self._sources: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._contents: dict[str, str | None] = {}

    def add(self, column: int, place: Place | None) -> None:
        """Say where the current line came from, from ``column`` on."""
        line = self.lines[-1]
        if place is None:
            if line and line[-1].source >= 0:  # what nobody knows the origin of, said once
                line.append(Segment(column))
            return
        source = self._sources.setdefault(place.source, len(self._sources))
        name = self._names.setdefault(place.name, len(self._names)) if place.name else -1
        line.append(Segment(column, source, place.line, place.column, name))

    def append(self, part: SourceMap, line: int, column: int) -> None:
        """Put ``part`` behind what is there; it begins at ``line`` and ``column``."""
        while len(self.lines) < line + len(part.lines):
            self.lines.append([])
        self._contents |= dict(zip(part.sources, part.contents, strict=False))
        for number, segments in enumerate(part.lines):
            self.lines.append(self.lines[line + number])  # ``add`` writes to the last line
            for segment in segments:
                shifted = segment.column + (column if number == 0 else 0)
                self.add(shifted, _traced(part, segment, {}))
            self.lines.pop()

    def built(self, contents: Mapping[str, str | None] | None = None) -> SourceMap:
        """Return the map."""
        known = self._contents if contents is None else contents
        held = tuple(known.get(s) for s in self._sources)
        return SourceMap(
            tuple(self._sources),
            tuple(self._names),
            tuple(map(tuple, self.lines)),
            held if any(held) else (),
        )
