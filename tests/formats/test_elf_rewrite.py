"""The ELF rewriter on generated files of every class: memory the same, nothing overlaps."""

from __future__ import annotations

from itertools import pairwise

import golden
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats import elf, elf_rewrite, elf_symbols
from toolchain.formats.elf_layout import Block, laid_out, merged
from toolchain.ir import Kind
from toolchain.verify import same_symbols

_SIZES = st.sampled_from([1, 7, 8, 63, 64, 65, 500, 4096, 5000])


@st.composite
def _groups(draw: st.DrawFn) -> list[str]:
    """Draw loads and loose sections in any order and size, as patchelf and linkers leave them."""
    lines: list[str] = []
    address = 0
    for i in range(draw(st.integers(1, 5))):
        align = draw(st.sampled_from([1, 0x10, 0x1000, 0x10000]))
        address += draw(st.integers(0, 3)) * align + draw(st.sampled_from([0, 0x20, 0x123]))
        place = f"at {address:#x} " if i else f"at {draw(st.sampled_from([0, 0x400000])):#x} "
        lines.append(f"load {draw(st.sampled_from(['r--', 'r-x', 'rw-']))} {place}align {align:#x}")
        size = draw(_SIZES)
        lines.append(f"  .mapped{i} progbits a counting {size}")
        address += size + 0x2000  # behind the headers, which the first load holds as well
        if draw(st.booleans()):
            lines.append(f"  .bss{i} nobits wa size 0x80")
            address += 0x80
        lines.append("loose")
        for k in range(draw(st.integers(0, 3))):
            name = draw(st.sampled_from([".debug_x", ".keep"]))
            align = draw(st.sampled_from([1, 4, 16]))
            lines.append(f"  {name}{i}{k} progbits - align={align} counting {draw(_SIZES)}")
    tables = [
        "  .symtab symtab - align=8 link=.strtab symbols m:local:.mapped0:0x0:1 f:global:abs:0x1:0",
        "  .strtab strtab - strings f m",
        "  .shstrtab strtab - names",
        "  section-headers",
    ]
    at = draw(st.sampled_from([i for i, line in enumerate(lines) if line == "loose"]))
    return [*lines[: at + 1], *tables, *lines[at + 1 :]]


_DYNAMIC = """\
load rw- at 0x9000000 align 0x1000
  .dynstr strtab a strings f libm.so.6
  .dynsym dynsym a align=8 link=.dynstr symbols f:global:.mapped0:0x1:1 l:global:{last}:0x0:1
  .dynamic dynamic wa align=8 link=.dynstr dynamic needed=libm.so.6
segment dynamic .dynamic
segment stack
"""


@st.composite
def _files(draw: st.DrawFn) -> str:
    lines = draw(_groups())
    kind = draw(st.sampled_from(["64 le", "32 le", "64 be", "32 be"]))
    last = [line.split()[0] for line in lines if line.startswith("  .mapped")][-1]
    dynamic = _DYNAMIC.format(last=last).replace("strings f", "strings f l")
    return "\n".join([f"elf {kind} dyn", *lines, dynamic])


def _given(text: str) -> tuple[bytes, elf.Elf, frozenset[int]]:
    data = golden.encode(Kind.ELF, text)
    return data, *_dropped(data)


def _dropped(data: bytes) -> tuple[elf.Elf, frozenset[int]]:
    file = elf.read(data)
    names = (".debug_x", ".symtab", ".strtab")
    wanted = [i for i, s in enumerate(file.sections) if s.name.startswith(names)]
    return file, elf_rewrite.removable(data, file, wanted)


@settings(max_examples=300)
@given(text=_files(), keep_symtab=st.booleans())
def test_memory_symbols_and_kept_sections_are_the_same_afterwards(
    text: str, *, keep_symtab: bool
) -> None:
    data, file, dropped = _given(text)
    if keep_symtab:
        dropped -= {i for i in dropped if file.sections[i].name in {".symtab", ".strtab"}}
    after = elf_rewrite.without(data, file, dropped)
    fresh = elf.read(after)
    assert same_symbols._difference(data, file, after, fresh) == ""
    kept = [s for i, s in enumerate(file.sections) if i not in dropped]
    assert [s.name for s in fresh.sections] == [s.name for s in kept]
    for old, new in zip(kept, fresh.sections, strict=True):
        if old.name not in {".shstrtab", ".symtab", ".dynsym"}:
            assert elf.contents(after, new) == elf.contents(data, old)
        assert file.sections[old.link].name == fresh.sections[new.link].name
        if not old.is_alloc and old.addralign > 1:
            assert (new.offset - old.offset) % old.addralign == 0
        assert (old.type, old.flags, old.addr) == (new.type, new.flags, new.addr)
    assert len(after) <= len(data)


@settings(max_examples=200)
@given(_files())
def test_nothing_overlaps_and_running_twice_is_running_once(text: str) -> None:
    data, file, dropped = _given(text)
    after = elf_rewrite.without(data, file, dropped)
    fresh = elf.read(after)
    size = fresh.codec.section.size
    taken = sorted(
        [
            *((s.offset, s.end) for s in fresh.loads),
            *((s.offset, s.end) for s in fresh.sections if s.file_bytes and not s.is_alloc),
            (fresh.header.shoff, fresh.header.shoff + len(fresh.sections) * size),
        ]
    )
    for (_, end), (start, _) in pairwise(taken):
        assert end <= start
    assert taken[-1][1] == len(after)
    assert _dropped(after)[1] == frozenset()
    assert elf_rewrite.without(after, fresh, frozenset()) == after


@given(_files())
def test_all_before_the_first_byte_that_goes_stays_where_it_is(text: str) -> None:
    data, file, dropped = _given(text)
    names = file.sections[file.shstrndx]
    first = min([names.offset, *(file.sections[i].offset for i in dropped), file.header.shoff])
    after = elf_rewrite.without(data, file, dropped)
    tables = 16 + file.codec.header.size + len(file.segments) * file.codec.segment.size
    assert after[tables:first] == data[tables:first]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50), st.sampled_from([1, 4, 64]))),
    st.integers(0, 200),
)
def test_blocks_in_memory_never_move_back_or_change_their_order(
    ranges: list[tuple[int, int, int]], cut: int
) -> None:
    blocks = merged(Block(a, a + n, m, in_memory=True) for a, n, m in ranges)
    assert all(a.end <= b.start for a, b in pairwise(blocks))
    covered = {at for a, n, _ in ranges for at in range(a, a + n)}
    assert {at for b in blocks for at in range(b.start, b.end)} == covered
    placed = laid_out(blocks, (Block(0, 1, 1),), cut)[: len(blocks)]
    for old, new in zip(blocks, placed, strict=True):
        assert new.new <= old.start
        assert (old.start - new.new) % old.align == 0
        assert new.new == old.start or new.new >= cut
    assert all(a.new_end <= b.new for a, b in pairwise(placed))
    filled = [r for r in ranges if r[1]]
    for start, size, align in filled:  # what was united moves by a multiple of every alignment
        (home,) = [b for b in placed if b.start <= start and start + size <= b.end]
        assert (home.new - home.start) % align == 0


_SMALL = "elf 64 le dyn\nload r-x at 0x0 align 0x1000\n  .text progbits ax bytes c3\nloose\n"


def _encoded(text: str) -> tuple[bytes, elf.Elf]:
    data = golden.encode(Kind.ELF, text)
    return data, elf.read(data)


def test_headers_go_into_the_gap_in_front_of_a_segment_that_cannot_move_further() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-x at 0x0 align 0x1000\n  .text progbits ax bytes c3\nloose\n"
        "  .debug_x progbits - zeros 9000\n  .shstrtab strtab - names\n  section-headers\n"
        "load rw- at 0x9010 align 0x1000\n  .data progbits wa bytes 01 02\n"
    )
    after = elf_rewrite.without(data, file, {2})
    fresh = elf.read(after)
    assert [s.offset for s in fresh.loads] == [0, 0x10 + 0x1000]
    assert fresh.header.shoff < 0x1000
    assert len(after) == 0x1012


def test_section_headers_inside_a_segment_stay_there_as_dead_bytes() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-x at 0x0 align 0x1000\n  .text progbits ax zeros 1000\nloose\n"
        "  .debug_x progbits - zeros 9000\n  .shstrtab strtab - names\n  section-headers\n"
    )
    table = data[file.header.shoff :]
    hidden = bytearray(data[: file.header.shoff])
    hidden[300 : 300 + len(table)] = table  # in .text, which the load covers
    file.codec.header.pack_into(hidden, 16, *file.header._replace(shoff=300))
    before = bytes(hidden)
    after = elf_rewrite.without(before, elf.read(before), {2})
    assert after[300 : 300 + len(table)] == table
    assert [s.name for s in elf.read(after).sections] == ["", ".text", ".shstrtab"]


def test_names_that_symbols_share_are_not_written_anew() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-x at 0x0 align 0x1000\n  .text progbits ax bytes c3\nloose\n"
        "  .symtab symtab - align=8 link=.shstrtab symbols :local:.text:0x0:1\n"
        "  .debug_x progbits - zeros 900\n  .shstrtab strtab - names\n"
    )
    after = elf_rewrite.without(data, file, {3})
    old, new = file.sections[file.shstrndx], elf.read(after).sections[3]
    assert elf.contents(after, new) == elf.contents(data, old)
    assert [s.name for s in elf.read(after).sections] == ["", ".text", ".symtab", ".shstrtab"]


def test_a_section_with_a_dynamic_symbol_stays() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-- at 0x0 align 0x1000\n  .dynstr strtab a strings f\n"
        "  .dynsym dynsym a align=8 link=.dynstr symbols f:global:.debug_x:0x0:1\nloose\n"
        "  .debug_x progbits - zeros 10\n  .debug_y progbits - zeros 10\n  .shstrtab strtab - names"
    )
    assert elf_rewrite.removable(data, file, {3, 4}) == {4}
    assert elf_symbols.dynamic_symbols(data, file)


def test_ranges_that_only_touch_move_on_their_own() -> None:
    blocks = merged([Block(0, 10, 1), Block(10, 20, 1), Block(20, 20, 8), Block(15, 30, 4)])
    assert [(b.start, b.end, b.align) for b in blocks] == [(0, 10, 1), (10, 30, 8)]


def test_the_table_of_names_is_never_dropped() -> None:
    data, file = _encoded(f"{_SMALL}  .debug_x progbits - zeros 10\n  .shstrtab strtab - names")
    assert elf_rewrite.removable(data, file, {0, 2, 3}) == {2}


def test_relocations_follow_their_section_to_its_new_number() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload rw- at 0x0 align 0x1000\n"
        "  .rela.plt rela ai info=.got bytes 01\n  .versions verneed a info=6 bytes 01\nloose\n"
        "  .debug_x progbits - zeros 10\n  .shstrtab strtab - names\n"
        "load rw- at 0x2000 align 0x1000\n  .got progbits wa bytes 01"
    )
    fresh = elf.read(elf_rewrite.without(data, file, {3}))
    assert [s.name for s in fresh.sections][fresh.sections[1].info] == ".got"
    assert fresh.sections[1].info == file.sections[1].info - 1
    assert fresh.sections[2].info == 6  # a count, not a link


def test_bytes_no_table_describes_stay_if_they_lie_before_what_goes() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-x at 0x0 align 0x1000\n  .text progbits ax bytes c3\nloose\n"
        "  .debug_x progbits - align=256 zeros 10\n  .shstrtab strtab - names"
    )
    gap = file.sections[1].end
    changed = data[:gap] + b"!" * (file.sections[2].offset - gap) + data[file.sections[2].offset :]
    assert changed[gap : gap + 4] == b"!!!!"
    after = elf_rewrite.without(changed, file, {2})
    assert after[: file.sections[2].offset] == changed[: file.sections[2].offset].replace(
        changed[40:64], after[40:64]
    )


def test_names_that_are_no_text_are_kept_as_they_are() -> None:
    data, _ = _encoded(f"{_SMALL}  .debug_x progbits - zeros 10\n  .odd strtab - bytes 01\n"
                       "  .shstrtab strtab - names")  # fmt: skip
    odd = data.replace(b".odd\0", b".o\xff\xfe\0")
    after = elf_rewrite.without(odd, elf.read(odd), {2})
    assert b"\0.o\xff\xfe\0" in after
    assert b"\xef\xbf\xbd" not in after  # the replacement character


def test_program_headers_that_no_segment_covers_stay_in_one_piece() -> None:
    data, file = _encoded(f"{_SMALL}  .debug_x progbits - zeros 3000\n  .shstrtab strtab - names")
    size = len(file.segments) * file.codec.segment.size
    table = data[64 : 64 + size]
    moved = bytearray(data + table)  # behind everything, as some tools put them
    file.codec.header.pack_into(moved, 16, *file.header._replace(phoff=len(data)))
    before = bytes(moved)
    after = elf_rewrite.without(before, elf.read(before), {2})
    fresh = elf.read(after)
    assert fresh.segments == file.segments
    assert fresh.header.phoff + size <= len(after) < len(before) - 2000
    ends = [fresh.header.phoff, fresh.header.shoff]
    assert abs(ends[0] - ends[1]) >= min(size, len(fresh.sections) * 64)


def test_more_headers_than_placing_can_afford_are_refused() -> None:
    sections = "".join(f"  .s{i} progbits - bytes 01\n" for i in range(2100))
    data, file = _encoded(f"{_SMALL}{sections}  .shstrtab strtab - names")
    with pytest.raises(FormatError, match="2103 sections, 1 segments"):
        elf_rewrite.without(data, file, {2})
    with pytest.raises(FormatError, match="2103 sections"):
        elf_rewrite.removable(data, file, {2})


def test_symbols_with_long_section_numbers_are_refused() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-- at 0x0 align 0x1000\n  .dynstr strtab a strings f\n"
        "  .dynsym dynsym a align=8 link=.dynstr symbols f:global:abs:0x0:1\nloose\n"
        "  .debug_x progbits - zeros 10\n  .shstrtab strtab - names"
    )
    extended = bytearray(data)
    at = file.sections[2].offset + 24 + 6
    extended[at : at + 2] = b"\xff\xff"
    with pytest.raises(FormatError, match="extended section numbers in symbols"):
        elf_rewrite.removable(bytes(extended), file, {3})


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("link", 99, "section .text links to a section that does not exist"),
        ("size", 2**62, "section .keep .* runs past the end of the file"),
    ],
)
def test_tables_that_contradict_one_another_are_refused(field: str, value: int, what: str) -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-x at 0x0 align 0x1000\n  .text progbits ax bytes c3\nloose\n"
        "  .keep progbits - bytes 01\n  .debug_x progbits - zeros 90\n  .shstrtab strtab - names"
    )
    number = 1 if field == "link" else 2
    changed = bytearray(data)
    section = file.sections[number]._replace(**{field: value})
    file.codec.section.pack_into(changed, file.header.shoff + number * 64, *section[1:])
    broken = bytes(changed)
    with pytest.raises(FormatError, match=what):
        elf_rewrite.without(broken, elf.read(broken), {3})


def test_a_dropped_section_that_lies_nowhere_takes_no_memory() -> None:
    data, file = _encoded(
        "elf 64 le dyn\nload r-x at 0x0 align 0x1000\n  .text progbits ax bytes c3\nloose\n"
        "  .debug_x progbits - zeros 90\n  .shstrtab strtab - names"
    )
    changed = bytearray(data)
    section = file.sections[2]._replace(offset=2**60)
    file.codec.section.pack_into(changed, file.header.shoff + 2 * 64, *section[1:])
    after = elf_rewrite.without(bytes(changed), elf.read(bytes(changed)), {2})
    assert len(after) < len(data)
