"""Reads one file, alone: its parts with every byte owned, its references, its measured sizes."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from toolchain import plugins
from toolchain.errors import InputError
from toolchain.execution.cache import source_digest
from toolchain.formats import compression
from toolchain.ingest.base import Contents, Part, Reference
from toolchain.ir import Digest, Kind, Relation, Sizes, digest_of
from toolchain.units import Bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file holds, and how large it and each of its parts are."""

    contents: Contents
    sizes: Sizes
    parts: tuple[tuple[Digest, Sizes], ...]  # of contents.parts, in order; () for a file without


@dataclass(frozen=True, slots=True)
class Work:
    """One file for a worker; ``sizes_only`` where nobody asked yet what is in it."""

    path: str
    kind: Kind
    sizes_only: bool = False


def read_file(work: Work) -> Reading:
    """Read one file: its parts with every byte owned, its references, its measured sizes."""
    with Path(work.path).open("rb") as file:
        if Path(work.path).stat().st_size == 0:
            return _reading(memoryview(b""), Contents())
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            return _read_bytes(data, work)


def _read_bytes(data: memoryview, work: Work) -> Reading:
    ingester = None if work.sizes_only else ingester_of(work.kind)
    try:
        contents = ingester.read(data) if ingester else Contents()
    except InputError as error:
        contents = Contents(problems=(str(error),), facts=(("unreadable", str(error)),))
    return _reading(data, contents)


def _reading(data: memoryview, contents: Contents) -> Reading:
    contents = replace(contents, parts=_with_gaps(contents.parts, len(data)))
    ranges = [data[p.offset : p.offset + p.size] for p in contents.parts]
    try:
        parts = tuple((digest_of(r), compression.sizes(r)) for r in ranges)
    finally:
        for view in ranges:
            view.release()
    return Reading(contents, compression.sizes(data), parts)


def _with_gaps(parts: Sequence[Part], size: int) -> tuple[Part, ...]:
    """Return ``parts`` in file order with every gap filled, so that each byte has one owner."""
    filled: list[Part] = []
    at = 0
    for part in sorted((p for p in parts if p.size), key=lambda p: p.offset):
        if part.offset < at or part.offset + part.size > size:
            raise AssertionError(f"part {part.name} overlaps another or leaves the file")
        if part.offset > at:
            filled.append(Part(Kind.OTHER, f"{at}", at, Bytes(part.offset - at)))
        filled.append(part)
        at = part.offset + part.size
    if filled and at < size:
        filled.append(Part(Kind.OTHER, f"{at}", at, Bytes(size - at)))
    return tuple(filled)


def unreadable(work: Work, why: str) -> Reading:
    """Return the reading of a file whose ingester crashed: its bytes still have an owner."""
    data = Path(work.path).read_bytes()
    return _reading(memoryview(data), Contents(problems=(why,), facts=(("unreadable", why),)))


_INGESTERS: dict[Kind, ModuleType] = {}


def ingester_of(kind: Kind) -> Any:  # noqa: ANN401 - a module with the names of ingest.base.Ingester
    """Return the ingester of ``kind``; None for kinds that have no parts and no references."""
    if not _INGESTERS:
        for name in plugins.names("ingest"):
            module = plugins.find("ingest", name)
            _INGESTERS.update(dict.fromkeys(module.KINDS, module))
    return _INGESTERS.get(kind)


def code_of(kind: Kind) -> str:
    """Return a digest of everything that reads and measures files of ``kind``."""
    module = ingester_of(kind)
    return source_digest(module.__name__ if module else "toolchain.ingest.base") + source_digest(
        __name__
    )


def pack(reading: Reading) -> list[Any]:
    """Return a reading as compact JSON: a wasm module has tens of thousands of parts."""
    c = reading.contents
    return [
        _four(reading.sizes),
        [
            [p.kind, p.name, p.offset, p.size, p.facts, digest, _four(sizes)]
            for p, (digest, sizes) in zip(c.parts, reading.parts, strict=True)
        ],
        [[r.target, r.relation, r.form, r.line] for r in c.references],
        [list(f) for f in c.facts],
        list(c.problems),
    ]


def unpack(document: Any) -> Reading:  # noqa: ANN401 - JSON
    """Return what ``pack`` packed."""
    sizes, parts, references, facts, problems = document
    contents = Contents(
        tuple(Part(Kind(k), n, o, Bytes(s), _pairs(f)) for k, n, o, s, f, _, _ in parts),
        tuple(Reference(t, Relation(r), f, line) for t, r, f, line in references),
        _pairs(facts),
        tuple(problems),
    )
    return Reading(contents, Sizes(*sizes), tuple((Digest(d), Sizes(*s)) for *_, d, s in parts))


def _pairs(facts: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in facts)


def _four(sizes: Sizes) -> list[int]:
    return [sizes.raw, sizes.gzip, sizes.brotli, sizes.zstd]
