"""The ELF reader: the same tables as lief reads, and no damage gets past it or crashes it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import golden
import lief
import pytest
import real

from toolchain.errors import FormatError, InputError
from toolchain.formats import elf, elf_symbols
from toolchain.ingest import elf as ingester
from toolchain.ir import Kind
from toolchain.passes.strip_elf import StripElf

CLASSES = ["64 le", "32 le", "64 be", "32 be"]
SAMPLE = """\
elf {} dyn
load r-x at 0x0 offset 0x0 align 0x100
  .dynstr strtab a strings f g libm.so.6 libc.so.6 me.so /opt/build
  .dynsym dynsym a align=8 link=.dynstr symbols f:global:.text:0x0:4 g:weak:undef:0x0:0
  .text progbits ax bytes 01 02 03 04
load rw- at 0x1000 offset 0x200 align 0x100
  .dynamic dynamic wa align=8 link=.dynstr dynamic needed=libm.so.6 needed=libc.so.6 soname=me.so \
runpath=/opt/build
  .bss nobits wa size 0x40
loose
  .debug_info progbits - zeros 40
  .symtab symtab - align=8 link=.strtab symbols f:local:.text:0x0:4
  .strtab strtab - strings f
  .shstrtab strtab - names
  section-headers
segment dynamic .dynamic
"""
SHERPA = "npm:sherpa-onnx-linux-x64@1.13.8"
WHISPER = "pypi:pywhispercpp==1.5.1"
REAL = [
    (SHERPA, "libonnxruntime.so"),
    (SHERPA, "sherpa-onnx.node"),
    (WHISPER, "pywhispercpp.libs/libgomp-e985bcbb.so.1.0.0"),
    (WHISPER, "pywhispercpp.libs/libwhisper-1ab89ae8.so.1.8.5"),
]


def sample(kind: str = "64 le") -> bytes:
    return golden.encode(Kind.ELF, SAMPLE.format(kind))


def _error(read: Callable[[], object]) -> InputError | None:
    """Return how ``read`` refuses; any other exception is a failure of the test."""
    try:
        read()
    except InputError as error:
        return error
    return None


def _everything(data: bytes) -> None:
    """Ask for all there is, the whole file through every reader and the rewriter."""
    for read in (_tables, ingester.read, lambda view: StripElf().rewrite(bytes(view))):
        error = _error(lambda chosen=read: chosen(memoryview(data)))
        assert not isinstance(error, FormatError) or error.offset >= 0


def _tables(data: memoryview) -> None:
    file = elf.read(data)
    elf_symbols.dynamic(data, file)
    elf_symbols.dynamic_symbols(data, file)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_and_byte_order_says_the_same(kind: str) -> None:
    data = memoryview(sample(kind))
    file = elf.read(data)
    assert (file.codec.bits, file.codec.order) == (int(kind[:2]), "<" if kind[3] == "l" else ">")
    assert [s.name for s in file.sections] == [
        "", ".dynstr", ".dynsym", ".text", ".dynamic", ".bss", ".debug_info", ".symtab",
        ".strtab", ".shstrtab",
    ]  # fmt: skip
    assert [(s.type, s.flags, s.vaddr, s.align) for s in file.loads] == [
        (1, 5, 0, 0x100),
        (1, 6, 0x1000, 0x100),
    ]
    text = file.sections[3]
    assert elf.contents(data, text) == b"\1\2\3\4"
    assert file.offset_of(text.addr) == text.offset
    assert file.offset_of(0x999) is None
    assert elf_symbols.dynamic(data, file) == elf_symbols.Dynamic(
        ("libm.so.6", "libc.so.6"), "me.so", "", "/opt/build"
    )
    first, second = elf_symbols.dynamic_symbols(data, file) or ()
    assert first == ("f", "", 1, 1, 0, 3, text.addr, 4)
    assert first.is_export
    assert (second.name, second.binding, second.is_export) == ("g", 2, False)


@pytest.mark.parametrize(("package", "member"), REAL)
def test_real_libraries_are_read_as_lief_reads_them(package: str, member: str) -> None:
    path = real.file(package, member)
    data = memoryview(path.read_bytes())
    file, other = elf.read(data), lief.ELF.parse(str(path))
    assert [s.name for s in file.sections] == [s.name for s in other.sections]
    assert [(s.offset, s.size, s.addr) for s in file.sections] == [
        (s.offset, s.size, s.virtual_address) for s in other.sections
    ]
    symbols = elf_symbols.dynamic_symbols(data, file)
    expected = list(other.dynamic_symbols)[1:]
    assert symbols is not None
    assert [(s.name, s.value, s.size, s.section) for s in symbols] == [
        (s.name, s.value, s.size, s.shndx) for s in expected
    ]
    assert [s.version for s in symbols] == [_lief_version(s) for s in expected]
    assert list(elf_symbols.dynamic(data, file).needed) == list(other.libraries)


def _lief_version(symbol: lief.ELF.Symbol) -> str:
    version = symbol.symbol_version
    return str(version.symbol_version_auxiliary.name) if version.has_auxiliary_version else ""


def test_versions_are_told_apart() -> None:
    path = real.file(WHISPER, "pywhispercpp.libs/libgomp-e985bcbb.so.1.0.0")
    data = path.read_bytes()
    symbols = elf_symbols.dynamic_symbols(data, elf.read(data)) or ()
    versions = {s.version for s in symbols if s.name == "omp_get_num_threads"}
    assert versions == {"OMP_1.0"}
    assert {s.version for s in symbols if s.name == "omp_init_lock"} == {"OMP_1.0", "OMP_3.0"}
    assert "GLIBC_2.3.4" in {s.version for s in symbols if not s.is_export}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_cut_at_any_byte_is_refused_at_an_offset(kind: str) -> None:
    data = sample(kind)
    for cut in range(len(data)):  # the section headers come last, so that every cut hurts
        error = _error(lambda kept=data[:cut]: elf.read(kept))
        assert error is not None
        _everything(data[:cut])


@pytest.mark.parametrize("kind", CLASSES)
def test_no_field_of_any_table_can_be_so_wrong_that_a_reader_crashes(kind: str) -> None:
    data = sample(kind)
    file = elf.read(data)
    tables = [
        (0, 16 + file.codec.header.size),
        (file.header.phoff, len(file.segments) * file.codec.segment.size),
        (file.header.shoff, len(file.sections) * file.codec.section.size),
        *((s.offset, s.size) for s in file.sections if s.name in {".dynamic", ".dynsym"}),
    ]
    for start, size in tables:
        for at in range(start, start + size):
            for value in (0, 1, 0x7F, 0xFF, data[at] ^ 0x10):
                damaged = bytearray(data)
                damaged[at] = value
                _everything(bytes(damaged))


def test_seeded_damage_to_a_real_library_is_an_error_or_harmless() -> None:
    chance = random.Random(20)  # noqa: S311 - reproducible damage, not secrets
    data = real.file(WHISPER, "pywhispercpp.libs/libgomp-e985bcbb.so.1.0.0").read_bytes()
    file = elf.read(data)
    versions = next(s for s in file.sections if s.name == ".gnu.version_r")
    refused = 0
    for _ in range(250):
        damaged = bytearray(data)
        for start, size in (
            (0, 700),
            (file.header.shoff, 31 * 64),
            (versions.offset - 0x600, 0x700),
        ):
            for _ in range(chance.choice([0, 1, 4])):
                at = start + chance.randrange(size)
                damaged[at] = chance.choice([0, 0xFF, damaged[at] ^ 1 << chance.randrange(8)])
        refused += _error(lambda raw=bytes(damaged): _tables(memoryview(raw))) is not None
        _everything(bytes(damaged))
    assert 50 < refused < 250


def _with(data: bytes, at: int, layout: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("at", "layout", "value", "what"),
    [
        (4, "B", 3, "unknown ELF class 3 or byte order 1 at byte 4"),
        (5, "B", 0, "unknown ELF class 2 or byte order 0 at byte 4"),
        (0x28, "<Q", 2**64 - 1, "section header 0 .* past the end"),
        (0x20, "<Q", 2**63, "program header table .* past the end"),
        (0x36, "<H", 57, "program headers of 57 bytes, not 56"),
        (0x3A, "<H", 0, "section headers of 0 bytes, not 64"),
        (0x3C, "<H", 0xFFFF, "section header table .* past the end"),
        (0x3E, "<H", 77, "section names are in section 77 of 10"),
    ],
)
def test_what_is_wrong_with_the_header_is_named(
    at: int, layout: str, value: int, what: str
) -> None:
    with pytest.raises(FormatError, match=what):
        elf.read(_with(sample(), at, layout, value))


def test_names_that_overlap_absurdly_cost_no_time() -> None:
    table = memoryview(b"a" * 60_000 + b"\0")
    names = elf.Strings(table, 100)
    with pytest.raises(FormatError, match="overlaps itself absurdly at byte 100"):
        list(map(names.at, range(60_000)))


def test_a_name_without_an_end_is_refused_where_it_starts() -> None:
    names = elf.Strings(memoryview(b"\0abc"), 100)
    assert names.at(0) == ""
    for offset in (1, 4, 5, 2**40):
        with pytest.raises(FormatError, match=f"at byte {100 + offset}"):
            names.at(offset)


def test_version_records_in_a_circle_come_to_an_end() -> None:
    data = real.file(WHISPER, "pywhispercpp.libs/libgomp-e985bcbb.so.1.0.0").read_bytes()
    section = next(s for s in elf.read(data).sections if s.name == ".gnu.version_r")
    # vn_next of one byte: the records overlap, thousands of them
    slow = bytearray(data)
    for at in range(section.offset, section.offset + section.size - 16):
        struct.pack_into("<I", slow, at + 12, 1)
    assert _error(lambda: _tables(memoryview(bytes(slow)))) is not None


def test_without_section_headers_the_number_of_symbols_is_unknown() -> None:
    data = _with(_with(sample(), 0x28, "<Q", 0), 0x3C, "<I", 0)
    file = elf.read(data)
    assert elf_symbols.dynamic_symbols(data, file) is None
    assert elf_symbols.dynamic(data, file).needed == ("libm.so.6", "libc.so.6")


def test_more_sections_than_sixteen_bits_count_are_read_from_section_0() -> None:
    data = sample()
    file = elf.read(data)
    data = _with(data, 0x3C, "<H", 0)  # e_shnum
    data = _with(data, 0x3E, "<H", 0xFFFF)  # e_shstrndx
    data = _with(data, file.header.shoff + 0x20, "<Q", 10)  # sh_size of section 0
    data = _with(data, file.header.shoff + 0x28, "<I", 9)  # sh_link of section 0
    assert [s.name for s in elf.read(data).sections] == [s.name for s in file.sections]


def test_more_segments_than_sixteen_bits_count_are_read_from_section_0() -> None:
    data = sample()
    file = elf.read(data)
    data = _with(data, 0x38, "<H", 0xFFFF)  # e_phnum
    data = _with(data, file.header.shoff + 0x2C, "<I", len(file.segments))  # sh_info of section 0
    assert elf.read(data).segments == file.segments
