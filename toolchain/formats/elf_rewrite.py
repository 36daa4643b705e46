"""Write an ELF file again without some of its sections: memory stays as it was, the file shrinks.

Everything before the first byte that goes stays where it is. What lies behind it is laid out
anew: whatever a segment covers keeps its bytes and its offset modulo the segment's alignment (a
loader refuses ``p_offset != p_vaddr mod p_align``, which is what other strippers leave behind
when patchelf has put a segment after the debug data); sections outside of segments, their names
and the section headers go into the gaps or to the end.

Sections that stay get new numbers, so links, and the section numbers of symbols, change with
them. Nothing else changes in memory but the headers, which no loader reads back.

Source: System V ABI, chapters 4 and 5.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from toolchain.errors import FormatError
from toolchain.formats import elf
from toolchain.formats.elf import Elf, Section
from toolchain.formats.elf_layout import Block, inside, laid_out, merged
from toolchain.formats.elf_symbols import SHN_ABS, SHN_LORESERVE, SHN_XINDEX

_IDENT_BYTES = 16
_MAX_HEADERS = 2000  # ours: linked files have some dozens; placing them takes squared time
_SYMBOL_TABLES = frozenset({elf.SHT_SYMTAB, elf.SHT_DYNSYM})
_RELOCATIONS = frozenset({elf.SHT_REL, elf.SHT_RELA})


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where everything goes, and which sections stay, by their old numbers in new order."""

    fixed: int  # all before this offset stays where it is
    blocks: tuple[Block, ...]
    names: Block
    headers: Block
    kept: tuple[int, ...]
    renames: bool  # whether the table of names is written anew

    @property
    def size(self) -> int:
        return max(self.fixed, *(b.new_end for b in (*self.blocks, self.names, self.headers)))

    def moved(self, offset: int) -> int:
        """Return where the byte at ``offset`` went; for empty ranges, a block's end is in it."""
        for block in self.blocks:
            if block.start <= offset < block.end or block.start == offset == block.end:
                return block.new + offset - block.start
        for block in self.blocks:
            if offset == block.end:
                return block.new_end
        return offset if offset <= self.fixed else self.size


def undescribed_tail(data: bytes, file: Elf) -> int:
    """Return how many bytes lie behind everything that the tables describe, padding left aside.

    Programs that carry their payload there find it from the end of the file, or by offset.
    """
    layout, header = file.codec, file.header
    described = max(
        header.shoff + len(file.sections) * layout.section.size,
        header.phoff + len(file.segments) * layout.segment.size,
        max((s.end for s in file.segments), default=0),
        max((s.end for s in file.sections), default=0),
    )
    return len(data[described:].rstrip(b"\0"))


def removable(data: bytes, file: Elf, wanted: Collection[int]) -> frozenset[int]:
    """Return the sections of ``wanted`` that nothing else needs.

    A section stays if it is the table of section names, or if a section that stays links to it,
    or relocates it, or if a dynamic symbol is defined in it. Relocations of what goes are to be
    in ``wanted``.

    Errors:
        FormatError: a link to a section that does not exist; an unreadable symbol table.
    """
    _check_numbers(file)
    going = set(wanted) - {0, file.shstrndx}
    for section in file.sections:
        if section.type == elf.SHT_DYNSYM:
            going -= {number for _, number in _symbol_sections(data, file, section)}
    while True:
        stays = [s for i, s in enumerate(file.sections) if i not in going]
        needed = {s.link for s in stays} | {s.info for s in stays if _info_is_link(s)}
        if not needed & going:
            return frozenset(going)
        going -= needed


def without(data: bytes, file: Elf, dropped: Collection[int]) -> bytes:
    """Return ``data`` less the sections whose numbers are in ``dropped`` (see ``removable``).

    Bytes that a segment covers stay, even where a dropped section claims them.

    Errors:
        FormatError: what has to stay does not lie in the file, a link to a section that does
            not exist, or a segment's alignment that is no power of two.
    """
    _check_numbers(file)
    plan = _plan(data, file, dropped)
    out = bytearray(plan.size)
    source = memoryview(data)
    out[: plan.fixed] = source[: plan.fixed]
    for block in plan.blocks:
        out[block.new : block.new_end] = source[block.start : block.end]
    _write_headers(out, data, file, plan)
    return bytes(out)


def _check_numbers(file: Elf) -> None:
    count = len(file.sections)
    if not 0 < count <= _MAX_HEADERS or len(file.segments) > _MAX_HEADERS:
        raise FormatError(f"{count} sections, {len(file.segments)} segments", file.header.shoff)
    for i, section in enumerate(file.sections):
        far = section.link >= count or (_info_is_link(section) and section.info >= count)
        if far and i:  # section 0 holds the long counts
            raise FormatError(
                f"section {section.name} links to a section that does not exist",
                file.header.shoff + i * file.codec.section.size,
            )


def _info_is_link(section: Section) -> bool:
    return section.type in _RELOCATIONS or bool(section.flags & elf.SHF_INFO_LINK)


def _plan(data: bytes, file: Elf, dropped: Collection[int]) -> _Plan:
    kept = tuple(i for i in range(len(file.sections)) if i not in dropped)
    in_memory = merged(_in_memory(data, file))
    names = file.sections[file.shstrndx]
    shared = any(file.sections[i].link == file.shstrndx for i in kept)
    legible = all("\N{REPLACEMENT CHARACTER}" not in s.name for s in file.sections)
    renames = file.shstrndx != 0 and legible and not shared and not inside(names.offset, in_memory)
    loose = (file.sections[i] for i in kept if not (renames and i == file.shstrndx))
    blocks = merged([*in_memory, *_loose(data, file, loose)])
    gone = [file.header.shoff, *([names.offset] if renames else [])]
    gone += [file.sections[i].offset for i in dropped if file.sections[i].file_bytes]
    fixed = min([len(data), *(g for g in gone if not inside(g, in_memory))])
    size = len(_names(file, kept)[0]) if renames else 0
    table = Block(0, len(kept) * file.codec.section.size, file.codec.bits // 8)
    *placed, names_at, headers_at = laid_out(blocks, (Block(0, size, 1), table), fixed)
    return _Plan(fixed, tuple(placed), names_at, headers_at, kept, renames)


def _in_memory(data: bytes, file: Elf) -> Iterator[Block]:
    """Yield what the loader finds by offset: the header, the program headers, all segments."""
    layout, header = file.codec, file.header
    word = layout.bits // 8
    yield Block(0, _IDENT_BYTES + layout.header.size, word, in_memory=True)
    table_end = header.phoff + len(file.segments) * layout.segment.size
    if file.segments:
        yield Block(header.phoff, table_end, word, in_memory=True)
    for segment in file.segments:
        elf.within(data, segment.offset, segment.filesz, "segment")
        align = max(segment.align, 1)
        if align & (align - 1):
            raise FormatError(f"segment with alignment {align}", segment.offset)
        yield Block(segment.offset, segment.end, align, in_memory=True)


def _loose(data: bytes, file: Elf, sections: Iterable[Section]) -> Iterator[Block]:
    for section in sections:
        if section.file_bytes:
            elf.contents(data, section)
            align = max(section.addralign, 1)
            even = align & (align - 1) == 0
            yield Block(section.offset, section.end, align if even else file.codec.bits // 8)


def _names(file: Elf, kept: Iterable[int]) -> tuple[bytes, dict[str, int]]:
    """Return a table of the sections' names and where in it each one starts."""
    table = bytearray(b"\0")
    starts = {"": 0}
    for i in kept:
        name = file.sections[i].name
        if name not in starts:
            starts[name] = len(table)
            table += name.encode("utf-8") + b"\0"
    return bytes(table), starts


def _write_headers(out: bytearray, data: bytes, file: Elf, plan: _Plan) -> None:
    layout, header = file.codec, file.header
    numbers = {old: new for new, old in enumerate(plan.kept)}
    fresh = header._replace(
        phoff=plan.moved(header.phoff) if file.segments else header.phoff,
        shoff=plan.headers.new,
        shnum=len(plan.kept),
        shstrndx=numbers[file.shstrndx],
    )
    layout.header.pack_into(out, _IDENT_BYTES, *fresh)
    for i, segment in enumerate(file.segments):
        moved = segment._replace(offset=plan.moved(segment.offset))
        at = fresh.phoff + i * layout.segment.size
        out[at : at + layout.segment.size] = elf.pack_segment(layout, moved)
    table, starts = _names(file, plan.kept)
    out[plan.names.new : plan.names.new_end] = table if plan.renames else b""
    for old, new in numbers.items():
        section = _moved(file.sections[old], plan, numbers) if old else file.sections[0]
        if plan.renames:
            section = section._replace(name_at=starts[section.name])
        if plan.renames and old == file.shstrndx:
            section = section._replace(offset=plan.names.new, size=len(table))
        layout.section.pack_into(out, plan.headers.new + new * layout.section.size, *section[1:])
        if section.type in _SYMBOL_TABLES:
            symbols = _symbol_sections(data, file, file.sections[old])
            _renumber((out, section.offset), symbols, file, numbers)


def _moved(section: Section, plan: _Plan, numbers: dict[int, int]) -> Section:
    return section._replace(
        offset=plan.moved(section.offset),
        link=numbers[section.link],
        info=numbers[section.info] if _info_is_link(section) else section.info,
    )


def _symbol_sections(data: bytes, file: Elf, table: Section) -> Iterator[tuple[int, int]]:
    """Yield, for each symbol that is defined in a section, its field's place and the section."""
    layout = file.codec
    raw = elf.contents(data, table)
    if len(raw) % layout.symbol.size:
        raise FormatError(f"{table.name} ends inside a symbol", table.offset)
    # st_shndx is the fourth field of an Elf64_Sym and the last of an Elf32_Sym
    which, at = (3, 6) if layout.bits == 64 else (5, 14)  # noqa: PLR2004 - the two classes
    for fields in layout.symbol.iter_unpack(raw):
        number = fields[which]
        if number == SHN_XINDEX:
            raise FormatError("extended section numbers in symbols", table.offset + at)
        if 0 < number < SHN_LORESERVE:
            yield at, number
        at += layout.symbol.size


def _renumber(
    table: tuple[bytearray, int],
    symbols: Iterable[tuple[int, int]],
    file: Elf,
    numbers: dict[int, int],
) -> None:
    """Give the symbols of the table at an offset the new numbers of their sections.

    A symbol that stands for a dropped section becomes absolute: it has nowhere to be.
    """
    out, start = table
    field = struct.Struct(f"{file.codec.order}H")
    for at, number in symbols:
        if number < len(file.sections) and numbers.get(number) != number:
            field.pack_into(out, start + at, numbers.get(number, SHN_ABS))
