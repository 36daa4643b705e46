"""ELF files, 32 and 64 bits, both byte orders: header, segments, sections and their names.

Tables only, no copies of contents: ``data`` may be a memoryview of a large file. A table or a
name that does not lie in the file is a ``FormatError`` with the offset. The range of a *section*
is reported as declared, since a debugger's file or a hostile one may declare what it has not;
``contents`` checks it.

Source: System V ABI, chapters 4 and 5 (generic ABI, draft of 2013); GNU extensions as in
glibc's ``elf.h``, which also gives all constants.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.errors import FormatError

Data = bytes | bytearray | memoryview

# e_type
REL, EXEC, DYN, CORE = 1, 2, 3, 4
# p_type
PT_LOAD, PT_DYNAMIC, PT_PHDR = 1, 2, 6
# sh_type
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA = 0, 1, 2, 3, 4
SHT_DYNAMIC, SHT_NOBITS, SHT_REL, SHT_DYNSYM, SHT_SYMTAB_SHNDX = 6, 8, 9, 11, 18
# sh_flags
SHF_ALLOC, SHF_INFO_LINK = 0x2, 0x40

_EXTENDED = 0xFF00  # from here on, a 16-bit count or index stands in section 0 instead
_XINDEX = 0xFFFF
_PN_XNUM = 0xFFFF
_MAX_SECTIONS = 100_000  # ours: a linked file has some dozens; only objects have thousands
_MAX_NAME_BYTES = 65_536  # ours: mangled C++ names reach some thousands
_BITS = {1: 32, 2: 64}
_ORDERS = {1: "<", 2: ">"}
_IDENT_BYTES = 16

MACHINES = {
    2: "sparc", 3: "x86", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 43: "sparc64",
    62: "x86-64", 183: "aarch64", 243: "riscv", 247: "bpf", 258: "loongarch",
}  # fmt: skip
TYPES = {REL: "object", EXEC: "executable", DYN: "shared", CORE: "core"}


class Codec(NamedTuple):
    """How the structures of one class and byte order are laid out."""

    bits: int
    order: str  # "<" or ">", as struct writes it
    header: struct.Struct
    segment: struct.Struct
    section: struct.Struct
    symbol: struct.Struct
    dynamic: struct.Struct


class Header(NamedTuple):
    """The ELF header after its 16 identification bytes, field by field (``e_`` left out)."""

    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int


class Segment(NamedTuple):
    """One program header (``p_`` left out); addresses and sizes in bytes."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    @property
    def end(self) -> int:
        """The offset behind the segment's last byte in the file."""
        return self.offset + self.filesz


class Section(NamedTuple):
    """One section header (``sh_`` left out); ``name_at`` is an offset into the names' table."""

    name: str
    name_at: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int

    @property
    def file_bytes(self) -> int:
        """How many bytes of the file it claims."""
        return 0 if self.type in {SHT_NULL, SHT_NOBITS} else self.size

    @property
    def end(self) -> int:
        """The offset behind its last byte in the file."""
        return self.offset + self.file_bytes

    @property
    def is_alloc(self) -> bool:
        """Whether it is in memory when the file runs."""
        return bool(self.flags & SHF_ALLOC)


@dataclass(frozen=True, slots=True)
class Elf:
    """The tables of one file. ``shstrndx`` is 0 where sections have no names."""

    codec: Codec
    header: Header
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    shstrndx: int

    @property
    def loads(self) -> tuple[Segment, ...]:
        """The segments that are mapped into memory."""
        return tuple(s for s in self.segments if s.type == PT_LOAD)

    def offset_of(self, address: int) -> int | None:
        """Return where in the file the byte at ``address`` lies; None if nowhere."""
        for load in self.loads:
            if load.vaddr <= address < load.vaddr + load.filesz:
                return load.offset + address - load.vaddr
        return None


def codec(bits: int, order: str) -> Codec:
    """Return the layouts of ELF32 or ELF64 in byte order "<" or ">"."""
    word = "I" if bits == 32 else "Q"  # noqa: PLR2004 - the two classes
    return Codec(
        bits,
        order,
        header=struct.Struct(f"{order}HHI{word * 3}I6H"),
        segment=struct.Struct(f"{order}8I" if word == "I" else f"{order}II6Q"),
        section=struct.Struct(f"{order}II{word * 4}II{word * 2}"),
        symbol=struct.Struct(f"{order}IIIBBH" if word == "I" else f"{order}IBBHQQ"),
        dynamic=struct.Struct(f"{order}{word * 2}"),
    )


def pack_segment(layout: Codec, segment: Segment) -> bytes:
    """Return a program header's bytes; in ELF32 the flags stand last but one."""
    fields = list(segment)
    if layout.bits == 32:  # noqa: PLR2004 - the two classes
        fields.insert(6, fields.pop(1))
    return layout.segment.pack(*fields)


def _unpack_segment(layout: Codec, data: Data, at: int) -> Segment:
    fields = list(layout.segment.unpack_from(data, at))
    if layout.bits == 32:  # noqa: PLR2004 - the two classes
        fields.insert(1, fields.pop(6))
    return Segment(*fields)


def within(data: Data, at: int, size: int, what: str) -> None:
    """Insist that ``size`` bytes at ``at`` lie in the file.

    Errors:
        FormatError: they do not.
    """
    if at < 0 or size < 0 or at + size > len(data):
        raise FormatError(f"{what} ({size} bytes) runs past the end of the file", at)


def contents(data: Data, section: Section) -> memoryview:
    """Return the bytes of a section, empty for one that has none in the file.

    Errors:
        FormatError: it does not lie in the file.
    """
    if section.file_bytes == 0:
        return memoryview(b"")
    within(data, section.offset, section.size, f"section {section.name}")
    return memoryview(data)[section.offset : section.end]


def read(data: Data) -> Elf:
    """Return the tables of an ELF file.

    Errors:
        FormatError: not an ELF file, a table outside of the file, or a section's name that is
            not in the table of names.
    """
    if bytes(data[:4]) != b"\x7fELF":
        raise FormatError("not an ELF file", 0)
    within(data, 0, _IDENT_BYTES, "ELF identification")
    if data[4] not in _BITS or data[5] not in _ORDERS:
        raise FormatError(f"unknown ELF class {data[4]} or byte order {data[5]}", 4)
    layout = codec(_BITS[data[4]], _ORDERS[data[5]])
    within(data, _IDENT_BYTES, layout.header.size, "ELF header")
    header = Header(*layout.header.unpack_from(data, _IDENT_BYTES))
    raw, shstrndx = _section_headers(data, layout, header)
    segments = _program_headers(data, layout, header, raw)
    return Elf(layout, header, segments, _named(data, raw, shstrndx), shstrndx)


def _section_headers(data: Data, layout: Codec, header: Header) -> tuple[list[Section], int]:
    if header.shoff == 0:
        return [], 0
    size = layout.section.size
    _entry_size("section", header.shentsize, size)
    within(data, header.shoff, size, "section header 0")
    first = _section(layout, data, header.shoff)
    count = header.shnum or first.size  # 0: too many for the header's 16 bits
    if count > _MAX_SECTIONS:
        raise FormatError(f"{count} section headers", header.shoff)
    within(data, header.shoff, count * size, "section header table")
    raw = [_section(layout, data, header.shoff + i * size) for i in range(count)]
    shstrndx = first.link if header.shstrndx == _XINDEX else header.shstrndx
    if shstrndx >= max(count, 1):
        raise FormatError(f"section names are in section {shstrndx} of {count}", header.shoff)
    return raw, shstrndx


def _section(layout: Codec, data: Data, at: int) -> Section:
    return Section("", *layout.section.unpack_from(data, at))


def _program_headers(
    data: Data, layout: Codec, header: Header, sections: list[Section]
) -> tuple[Segment, ...]:
    count = header.phnum
    if count == _PN_XNUM and sections:
        count = sections[0].info
    if count == 0:
        return ()
    size = layout.segment.size
    _entry_size("program", header.phentsize, size)
    if count > _MAX_SECTIONS:
        raise FormatError(f"{count} program headers", header.phoff)
    within(data, header.phoff, count * size, "program header table")
    return tuple(_unpack_segment(layout, data, header.phoff + i * size) for i in range(count))


def _entry_size(what: str, declared: int, size: int) -> None:
    if declared != size:
        raise FormatError(f"{what} headers of {declared} bytes, not {size}", _IDENT_BYTES)


def _named(data: Data, raw: list[Section], shstrndx: int) -> tuple[Section, ...]:
    if shstrndx == 0:
        return tuple(raw)
    names = Strings(contents(data, raw[shstrndx]), raw[shstrndx].offset)
    return tuple(s._replace(name=names.at(s.name_at)) for s in raw)


class Strings:
    """A string table. The bytes handed out in all are bounded, so hostile names cost no time."""

    def __init__(self, table: memoryview, offset: int) -> None:
        self._bytes = bytes(table)
        self._offset = offset  # of the table in the file, for errors
        self._known: dict[int, str] = {}
        # names may share their ends (``.rela.plt`` holds ``.plt``): linkers reach a factor below 2
        self._budget = 4 * len(self._bytes) + _MAX_NAME_BYTES

    def at(self, offset: int) -> str:
        """Return the string that starts at ``offset`` of the table.

        Errors:
            FormatError: it starts or ends outside of the table, or is longer than 64 KiB.
        """
        if offset in self._known:
            return self._known[offset]
        end = self._bytes.find(b"\0", offset, offset + _MAX_NAME_BYTES)
        if end < 0:
            raise FormatError("name is not in its string table", self._offset + offset)
        self._budget -= end - offset
        if self._budget < 0:
            raise FormatError("string table overlaps itself absurdly", self._offset)
        name = self._known[offset] = self._bytes[offset:end].decode("utf-8", "replace")
        return name
