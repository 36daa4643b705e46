"""What a native library or program holds: sections as parts, the libraries it needs, facts.

A needed library is a file of the project if one has its name; the system's are not in the graph.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from itertools import takewhile

from toolchain.formats import elf, elf_symbols
from toolchain.formats.elf import Elf, Section
from toolchain.formats.part_names import unique_names
from toolchain.ingest.base import Contents, Neighbours, Part, Reference
from toolchain.ir import ArtifactId, Kind, Relation
from toolchain.units import Bytes

KINDS = frozenset({Kind.ELF})

_IDENT_BYTES = 16
_MAX_PROBLEMS = 20  # ours: a file with more is hostile, and the first ones tell it
_DEBUG_PREFIXES = (".debug", ".zdebug", ".stab", ".gdb_index", ".gnu_debugdata")


def read(data: memoryview) -> Contents:
    """Return the tables and sections as parts that never overlap, and what the loader is told.

    Sections that overlap or run past the end are cut to the bytes that are theirs alone, and
    reported as problems.

    Errors:
        FormatError: not an ELF file, or its tables do not lie in it.
    """
    file = elf.read(data)
    told = elf_symbols.dynamic(data, file)
    problems: list[str] = []
    parts = tuple(_parts(file, len(data), problems))
    needed = tuple(Reference(name, Relation.LINK, "library") for name in dict.fromkeys(told.needed))
    return Contents(parts, needed, _facts(data, file, told), tuple(problems[:_MAX_PROBLEMS]))


def resolve(
    reference: Reference,
    source: ArtifactId,
    files: Neighbours,
    conditions: frozenset[str],  # noqa: ARG001 - the contract of all ingesters
) -> list[ArtifactId]:
    """Return the file called as the needed library: the nearest one, else nothing.

    The loader would follow RUNPATH, which packages set to where they put the library; a file of
    that name in the same folder, or with the longest common path, is what they mean.
    """
    name = posixpath.basename(reference.target)
    found = [f for f in files.named(name) if f != source]
    here = posixpath.dirname(source).split("/")

    def strangeness(file: ArtifactId) -> tuple[int, int, str]:
        there = posixpath.dirname(file).split("/")
        pairs = zip(here, there, strict=False)
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        return (-common, len(there), file)

    return sorted(found, key=strangeness)[:1]


def _parts(file: Elf, size: int, problems: list[str]) -> Iterator[Part]:
    """Yield parts in file order, each cut to what no earlier one has; note what was cut."""
    end = 0
    for kind, name, start, stop in sorted(_ranges(file), key=lambda r: (r[2], r[3])):
        first, last = max(start, end), min(stop, size)
        if (first, last) != (start, stop):
            problems.append(f"{kind} {name} overlaps another or runs past the end of the file")
        if first < last:
            yield Part(kind, name, first, Bytes(last - first))
            end = last


def _ranges(file: Elf) -> Iterator[tuple[Kind, str, int, int]]:
    """Yield kind, unique name, start and end of everything that has bytes in the file."""
    layout, header = file.codec, file.header
    yield Kind.HEADER, "elf header", 0, _IDENT_BYTES + layout.header.size
    if file.segments:
        end = header.phoff + len(file.segments) * layout.segment.size
        yield Kind.HEADER, "program headers", header.phoff, end
    if file.sections:
        end = header.shoff + len(file.sections) * layout.section.size
        yield Kind.HEADER, "section headers", header.shoff, end
    stored = [s for s in file.sections if s.file_bytes]
    for name, section in zip(unique_names(s.name for s in stored), stored, strict=True):
        yield Kind.SECTION, name, section.offset, section.end


def _facts(data: memoryview, file: Elf, told: elf_symbols.Dynamic) -> tuple[tuple[str, str], ...]:
    machine = elf.MACHINES.get(file.header.machine, f"machine {file.header.machine}")
    order = "" if file.codec.order == "<" else " big-endian"
    symbols = elf_symbols.dynamic_symbols(data, file)
    exported = None if symbols is None else sum(s.is_export for s in symbols)
    facts = {
        "machine": f"{machine} {file.codec.bits}-bit{order}",
        "type": elf.TYPES.get(file.header.type, f"type {file.header.type}"),
        "soname": told.soname,
        "needed": ", ".join(told.needed),
        "rpath": told.rpath,
        "runpath": told.runpath,
        "dynamic symbols": "unknown" if symbols is None else str(len(symbols)),
        "exported symbols": "unknown" if exported is None else str(exported),
        "symtab bytes": str(_symtab_bytes(file)),
        "debug bytes": str(
            sum(s.file_bytes for s in file.sections if s.name.startswith(_DEBUG_PREFIXES))
        ),
    }
    return tuple((name, value) for name, value in facts.items() if value)


def _symtab_bytes(file: Elf) -> int:
    """Return the bytes of the static symbol tables and their strings, if those are theirs alone."""
    tables = [s for s in file.sections if s.type == elf.SHT_SYMTAB]
    strings: dict[int, Section] = {
        t.link: file.sections[t.link]
        for t in tables
        if t.link < len(file.sections) and t.link != file.shstrndx
    }
    return sum(s.file_bytes for s in (*tables, *strings.values()))
