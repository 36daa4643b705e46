"""The proof of strip-elf refuses what a dynamic loader would notice."""

from __future__ import annotations

import platform
import struct
import sys

import golden
import pytest
import real

from toolchain.formats import elf
from toolchain.ir import Kind
from toolchain.passes.strip_elf import StripElf
from toolchain.verify import same_symbols
from toolchain.verify.same_symbols import prove

BEFORE = """\
elf 64 le dyn
load r-x at 0x0 align 0x1000
  .dynstr strtab a strings f g libm.so.6 libc.so.6
  .dynsym dynsym a align=8 link=.dynstr symbols f:global:.text:0x0:1 g:weak:undef:0x0:0
  .text progbits ax bytes 90 c3
loose
  .debug_info progbits - counting 5000
  .symtab symtab - align=8 link=.strtab symbols l:local:.text:0x0:1
  .strtab strtab - strings l
  .shstrtab strtab - names
  section-headers
load rw- at 0x9000 align 0x1000
  .dynamic dynamic wa link=.dynstr dynamic needed=libm.so.6
  .data progbits wa bytes 01 02 03 04
segment dynamic .dynamic
segment stack
"""
GOMP = ("pypi:pywhispercpp==1.5.1", "pywhispercpp.libs/libgomp-e985bcbb.so.1.0.0")
NATIVE = sys.platform == "linux" and platform.machine() == "x86_64"


def _encoded(text: str) -> bytes:
    return golden.encode(Kind.ELF, text)


@pytest.mark.parametrize("kind", ["64 le", "32 le", "64 be", "32 be"])
def test_the_structure_of_every_class_is_proved(kind: str) -> None:
    before = _encoded(BEFORE.replace("64 le", kind))
    after = StripElf().rewrite(before)
    assert len(after) < len(before) - 4000  # a page less
    assert same_symbols._difference(before, elf.read(before), after, elf.read(after)) == ""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("01 02 03 04", "01 02 03 05", "bytes of the segment at 0x9000 changed"),
        ("90 c3", "90 c2", "bytes of the segment at 0x0 changed"),
        ("f:global:.text:0x0:1", "f:weak:.text:0x0:1", "the dynamic symbols changed"),
        ("f:global:.text:0x0:1", "f:global:.text:0x1:1", "the dynamic symbols changed"),
        ("f:global:.text:0x0:1", "f:global:.text:0x0:2", "the dynamic symbols changed"),
        ("f:global:.text:0x0:1", "f:global:.data:0x0:1", "the dynamic symbols changed"),
        ("needed=libm.so.6", "needed=libc.so.6", "needed libraries, soname or search path changed"),
        ("load rw-", "load rwx", "the ELF header or the program headers changed"),
        ("bytes 01 02 03 04", "bytes 01 02 03", "the ELF header or the program headers changed"),
        ("elf 64 le", "elf 64 be", "the ELF header or the program headers changed"),
        ("64 le dyn", "64 le exec", "the ELF header or the program headers changed"),
        ("at 0x9000", "at 0xa000", "the ELF header or the program headers changed"),
    ],
)
def test_what_a_loader_would_notice_is_refused(old: str, new: str, why: str) -> None:
    assert old in BEFORE
    proof = prove(_encoded(BEFORE), _encoded(BEFORE.replace(old, new)), {})
    assert (proof.holds, proof.detail) == (False, why)


def test_a_result_that_cannot_be_read_is_a_proof_that_does_not_hold() -> None:
    before = _encoded(BEFORE)
    for cut in (0, 3, 20, 100, len(before) - 1000):
        assert not prove(before, before[:cut], {}).holds


def test_a_changed_section_number_of_a_symbol_is_no_change_but_a_changed_section_is() -> None:
    before = _encoded(BEFORE)
    after = bytearray(StripElf().rewrite(before))
    file = elf.read(bytes(after))
    table = next(s for s in file.sections if s.name == ".dynsym")
    struct.pack_into("<H", after, table.offset + 24 + 6, 1)  # f is now said to be in .dynstr
    proof = prove(before, bytes(after), {})
    assert (proof.holds, proof.detail) == (False, "the dynamic symbols changed")


def _misplaced() -> tuple[bytes, bytes]:
    """Return a library and what other strippers make of it: the last segment is off its page."""
    before = real.file(*GOMP).read_bytes()
    after = bytearray(StripElf().rewrite(before))
    file = elf.read(bytes(after))
    last = max(file.loads, key=lambda s: s.offset)
    after[last.offset - 8 : last.end - 8] = after[last.offset : last.end]
    codec, header = file.codec, file.header
    for number, segment in enumerate(file.segments):
        if last.offset <= segment.offset < last.end:
            moved = elf.pack_segment(codec, segment._replace(offset=segment.offset - 8))
            at = header.phoff + number * codec.segment.size
            after[at : at + len(moved)] = moved
    for number, section in enumerate(file.sections):
        if last.offset <= section.offset < last.end:
            at = header.shoff + number * codec.section.size
            codec.section.pack_into(after, at, *section._replace(offset=section.offset - 8)[1:])
    return before, bytes(after)


def test_a_segment_off_its_page_is_refused_before_any_loader_sees_it() -> None:
    proof = prove(*_misplaced(), {})
    assert not proof.holds
    assert proof.detail == "the segment at 0x238000 lies where no loader accepts it"


def test_the_loader_of_this_machine_agrees() -> None:
    before, after = _misplaced()
    said = same_symbols._loaded(before, {}), same_symbols._loaded(after, {})
    if NATIVE:  # elsewhere a loader refuses both for what they are
        assert said[0] == "loaded"
        assert "not page-aligned" in said[1] or "not properly aligned" in said[1]  # glibc < 2.35
    else:
        assert said[0] == said[1] != "loaded"


def test_a_real_library_is_proved_by_loading_it() -> None:
    before = real.file(*GOMP).read_bytes()
    proof = prove(before, StripElf().rewrite(before), {})
    assert proof.holds
    assert proof.detail.startswith("510 dynamic symbols and 242 kB of memory identical; ")
    assert proof.detail.endswith("; loads" if NATIVE else ")")


def test_a_library_whose_neighbours_are_missing_is_proved_by_structure_and_says_so() -> None:
    package, folder = GOMP[0], "pywhispercpp.libs"
    before = real.file(package, f"{folder}/libggml-base-319ad4fb.so.0.13.1").read_bytes()
    proof = prove(before, StripElf().rewrite(before), {})
    assert proof.holds
    assert "does not load here before either" in proof.detail
    assert "/" not in proof.detail.removeprefix("/").replace("No such file or directory", "")


SHERPA = "npm:sherpa-onnx-linux-x64@1.13.8"


def test_a_library_is_loaded_with_its_neighbours_beside_it() -> None:
    before = real.file(SHERPA, "libsherpa-onnx-c-api.so").read_bytes()
    after = StripElf().rewrite(before)
    alone = prove(before, after, {"neighbours": {}})
    runtime = real.file(SHERPA, "libonnxruntime.so")
    proof = prove(before, after, {"neighbours": {"libonnxruntime.so": str(runtime)}})
    assert alone.holds
    assert "does not load here before either" in alone.detail
    assert proof.holds
    if NATIVE:
        assert "libonnxruntime.so" in alone.detail
        assert proof.detail.endswith("; loads with libonnxruntime.so beside it")


def test_a_neighbour_whose_name_leads_elsewhere_or_whose_file_is_gone_does_no_harm() -> None:
    before = real.file(*GOMP).read_bytes()
    odd = {"../../up.so": "/nowhere", "..": "/", "": "/", "libm.so.6.beside": "/nowhere"}
    assert same_symbols._neighbours({"neighbours": odd}).keys() == {"up.so", "libm.so.6.beside"}
    assert prove(before, StripElf().rewrite(before), {"neighbours": odd}).holds
