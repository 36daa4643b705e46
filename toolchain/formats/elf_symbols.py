"""What an ELF file asks of the dynamic loader and gives to it: libraries, symbols, versions.

Follows the loader where it can: the dynamic table is found by its segment and the strings by
their address. The number of dynamic symbols is only in the section table; without one it is
unknown.

Source: System V ABI, chapter 5 (dynamic section, symbol table); LSB 5.0, "Symbol Versioning".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.errors import FormatError
from toolchain.formats.elf import (
    PT_DYNAMIC,
    SHT_DYNSYM,
    SHT_NULL,
    Data,
    Elf,
    Section,
    Strings,
    contents,
    within,
)

# d_tag
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = (
    0, 1, 5, 10, 14, 15, 29,
)  # fmt: skip
_SHT_GNU_VERDEF, _SHT_GNU_VERNEED, _SHT_GNU_VERSYM = 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_VERSION_MASK = 0x7FFF  # the top bit of a version index means "hidden"
_MAX_VERSIONS = 0x8000
SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_XINDEX = 0, 0xFF00, 0xFFF1, 0xFFFF


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The dynamic table's strings, in file order."""

    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: str = ""
    runpath: str = ""


class Symbol(NamedTuple):
    """One symbol: ``binding`` 0 local, 1 global, 2 weak; ``section`` as stored (``st_shndx``)."""

    name: str
    version: str
    binding: int
    type: int
    other: int
    section: int
    value: int
    size: int

    @property
    def is_export(self) -> bool:
        """Whether other libraries may bind to it."""
        return self.section != SHN_UNDEF and self.binding != 0


def dynamic(data: Data, elf: Elf) -> Dynamic:
    """Return what the loader is told; all empty for a file without a dynamic table.

    Errors:
        FormatError: the table or its strings do not lie in the file.
    """
    segment = next((s for s in elf.segments if s.type == PT_DYNAMIC), None)
    if segment is None:
        return Dynamic()
    within(data, segment.offset, segment.filesz, "dynamic table")
    size = elf.codec.dynamic.size
    raw = memoryview(data)[segment.offset : segment.end - segment.filesz % size]
    entries: list[tuple[int, int]] = []
    for tag, value in elf.codec.dynamic.iter_unpack(raw):
        if tag == _DT_NULL:
            break
        entries.append((tag, value))
    values = dict(entries)
    if not {_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH} & values.keys():
        return Dynamic()
    at = elf.offset_of(values.get(_DT_STRTAB, -1))
    if at is None:
        raise FormatError("dynamic strings are in no segment", segment.offset)
    length = values.get(_DT_STRSZ, 0)
    within(data, at, length, "dynamic string table")
    strings = Strings(memoryview(data)[at : at + length], at)

    def first(tag: int) -> str:
        return strings.at(values[tag]) if tag in values else ""

    needed = tuple(strings.at(value) for tag, value in entries if tag == _DT_NEEDED)
    return Dynamic(needed, first(_DT_SONAME), first(_DT_RPATH), first(_DT_RUNPATH))


def table(elf: Elf, kind: int) -> Section | None:
    """Return the first section of type ``kind``."""
    return next((s for s in elf.sections if s.type == kind), None)


def dynamic_symbols(data: Data, elf: Elf) -> tuple[Symbol, ...] | None:
    """Return the symbols of ``.dynsym`` without the empty first one, versions included.

    None where the file has no section table: their number is unknown then.

    Errors:
        FormatError: the table, a name or a version does not lie in the file.
    """
    if not elf.sections:
        return None
    section = table(elf, SHT_DYNSYM)
    return () if section is None else _symbols(data, elf, section)


def _symbols(data: Data, elf: Elf, section: Section) -> tuple[Symbol, ...]:
    layout = elf.codec.symbol
    raw = contents(data, section)
    if section.entsize != layout.size or len(raw) % layout.size:
        raise FormatError(f"symbols of {section.entsize} bytes in {section.name}", section.offset)
    strings = linked_strings(data, elf, section)
    versions = _version_of_each(data, elf, len(raw) // layout.size)
    found = []
    for i, fields in enumerate(layout.iter_unpack(raw)):
        if elf.codec.bits == 32:  # noqa: PLR2004 - the two classes
            name, value, size, info, other, index = fields
        else:
            name, info, other, index, value, size = fields
        found.append(
            Symbol(strings.at(name), versions[i], info >> 4, info & 15, other, index, value, size)
        )
    return tuple(found[1:])


def linked_strings(data: Data, elf: Elf, section: Section) -> Strings:
    """Return the string table that ``section`` names by its link.

    Errors:
        FormatError: there is no such section, or it does not lie in the file.
    """
    if not SHT_NULL < section.link < len(elf.sections):
        raise FormatError(f"{section.name} has no string table", section.offset)
    target = elf.sections[section.link]
    return Strings(contents(data, target), target.offset)


def _version_of_each(data: Data, elf: Elf, count: int) -> list[str]:
    """Return the version of each dynamic symbol, "" where it has none."""
    section = table(elf, _SHT_GNU_VERSYM)
    if section is None:
        return [""] * count
    raw = contents(data, section)
    if len(raw) != 2 * count:
        raise FormatError(f"{len(raw)} bytes of versions for {count} symbols", section.offset)
    names = _version_names(data, elf)
    indices = struct.unpack(f"{elf.codec.order}{count}H", raw)
    # 0 and 1 are "local" and "global": no version; an index nobody defines is shown as it is
    return [_version(names, i & _VERSION_MASK) for i in indices]


def _version(names: dict[int, str], index: int) -> str:
    return "" if index <= 1 else names.get(index, f"version {index}")


def _version_names(data: Data, elf: Elf) -> dict[int, str]:
    found: dict[int, str] = {}
    for kind, pairs in ((_SHT_GNU_VERNEED, _needed), (_SHT_GNU_VERDEF, _defined)):
        section = table(elf, kind)
        if section is None or section.file_bytes == 0:
            continue
        strings = linked_strings(data, elf, section)
        for count, (index, name_at) in enumerate(pairs(data, elf, section.offset)):
            if count > _MAX_VERSIONS:
                raise FormatError(f"more than {_MAX_VERSIONS} versions", section.offset)
            found[index & _VERSION_MASK] = strings.at(name_at)
    return found


def _needed(data: Data, elf: Elf, start: int) -> Iterator[tuple[int, int]]:
    """Yield index and name offset of each version this file needs (Verneed, Vernaux)."""
    record = struct.Struct(f"{elf.codec.order}HHIII")
    auxiliary = struct.Struct(f"{elf.codec.order}IHHII")
    for at, fields in _chain(data, start, record):
        for _, version in _chain(data, at + fields[3], auxiliary):
            yield version[2], version[3]


def _defined(data: Data, elf: Elf, start: int) -> Iterator[tuple[int, int]]:
    """Yield index and name offset of each version this file defines (Verdef, first Verdaux)."""
    record = struct.Struct(f"{elf.codec.order}HHHHIII")
    auxiliary = struct.Struct(f"{elf.codec.order}II")
    for at, fields in _chain(data, start, record):
        _, name = next(_chain(data, at + fields[5], auxiliary))
        yield fields[2], name[0]


def _chain(data: Data, at: int, record: struct.Struct) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield records with their offsets; the last field of each is the distance to the next."""
    while True:
        within(data, at, record.size, "version record")
        fields = record.unpack_from(data, at)
        yield at, fields
        if fields[-1] == 0:
            return
        at += fields[-1]
