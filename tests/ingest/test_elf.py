"""What the graph learns of a native library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import golden
import pytest
import real

from toolchain.ingest import elf
from toolchain.ingest.base import Contents, Reference
from toolchain.ir import ArtifactId, Kind, Relation

SAMPLE = """\
elf 64 le dyn
load r-- at 0x0 align 0x1000
  .dynstr strtab a strings f libm.so.6 libmine.so me.so /home/ci/build
  .dynsym dynsym a align=8 link=.dynstr symbols f:global:.text:0x0:1 libm.so.6:global:undef:0x0:0
load r-x at 0x1000 align 0x1000
  .text progbits ax bytes 90 c3
load rw- at 0x3000 align 0x1000
  .dynamic dynamic wa link=.dynstr dynamic needed=libm.so.6 needed=libmine.so soname=me.so \
runpath=/home/ci/build
  .bss nobits wa size 0x100
loose
  .debug_info progbits - zeros 100
  .symtab symtab - align=8 link=.strtab symbols l:local:.text:0x0:1
  .strtab strtab - strings l
  .shstrtab strtab - names
  section-headers
segment dynamic .dynamic
"""


def _sample() -> bytes:
    return golden.encode(Kind.ELF, SAMPLE)


def _overlaps(contents: Contents, size: int) -> bool:
    at = 0
    for part in contents.parts:
        if part.offset < at or part.size <= 0:
            return True
        at = part.offset + part.size
    return at > size


def test_tables_and_sections_become_parts() -> None:
    contents = elf.read(memoryview(_sample()))
    assert [(p.kind, p.name, p.size) for p in contents.parts] == [
        (Kind.HEADER, "elf header", 64),
        (Kind.HEADER, "program headers", 4 * 56),
        (Kind.SECTION, ".dynstr", 45),
        (Kind.SECTION, ".dynsym", 72),
        (Kind.SECTION, ".text", 2),
        (Kind.SECTION, ".dynamic", 112),
        (Kind.SECTION, ".debug_info", 100),
        (Kind.SECTION, ".symtab", 48),
        (Kind.SECTION, ".strtab", 3),
        (Kind.SECTION, ".shstrtab", 75),
        (Kind.HEADER, "section headers", 10 * 64),
    ]
    assert contents.problems == ()


def test_facts_and_needed_libraries_are_what_the_loader_is_told() -> None:
    contents = elf.read(memoryview(_sample()))
    assert contents.references == (
        Reference("libm.so.6", Relation.LINK, "library"),
        Reference("libmine.so", Relation.LINK, "library"),
    )
    assert dict(contents.facts) == {
        "machine": "x86-64 64-bit",
        "type": "shared",
        "soname": "me.so",
        "needed": "libm.so.6, libmine.so",
        "runpath": "/home/ci/build",
        "dynamic symbols": "2",
        "exported symbols": "1",
        "symtab bytes": "51",
        "debug bytes": "100",
    }


def test_hostile_sections_are_cut_to_what_is_theirs_and_reported() -> None:
    data = bytearray(_sample())
    shoff = int.from_bytes(data[0x28:0x30], "little")
    for number, offset, size in ((3, 10, 500), (6, len(data) - 5, 2**60), (8, 0x1000, 1)):
        at = shoff + number * 64 + 0x18
        data[at : at + 16] = offset.to_bytes(8, "little") + size.to_bytes(8, "little")
    contents = elf.read(memoryview(bytes(data)))
    assert not _overlaps(contents, len(data))
    assert len(contents.problems) >= 2
    assert all("overlaps another or runs past the end" in p for p in contents.problems)


def test_the_same_name_twice_gives_two_parts() -> None:
    text = SAMPLE.replace("  .debug_info", "  .text progbits - zeros 7\n  .debug_info")
    contents = elf.read(memoryview(golden.encode(Kind.ELF, text)))
    names = [p.name for p in contents.parts]
    assert len(set(names)) == len(names)
    assert {".text", ".text:2"} <= set(names)


@dataclass(frozen=True)
class _Files:
    ids: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        return name in self.ids

    def read(self, name: ArtifactId) -> bytes:
        raise KeyError(name)

    def in_folder(self, folder: str) -> list[ArtifactId]:
        return [ArtifactId(i) for i in sorted(self.ids) if i.startswith(f"{folder}/")]

    def named(self, basename: str) -> list[ArtifactId]:
        return [ArtifactId(i) for i in sorted(self.ids) if PurePosixPath(i).name == basename]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("libx.so", ["pkg/a/libx.so"]),  # the same folder, not the first in the alphabet
        ("liby.so", ["pkg/pkg.libs/liby.so"]),  # the nearest, as wheels have it
        ("/opt/lib/liby.so", ["pkg/pkg.libs/liby.so"]),  # an absolute path means its file name
        ("libm.so.6", []),  # the system's
        ("me.so", []),  # a library does not need itself
    ],
)
def test_a_needed_library_is_the_nearest_file_of_that_name(target: str, found: list[str]) -> None:
    files = _Files(
        (
            "aaa/libx.so", "pkg/a/libx.so", "aaa/liby.so", "pkg/pkg.libs/liby.so", "pkg/a/me.so",
            "pkg/a/libm.so", "pkg/a/notlibx.so",
        )
    )  # fmt: skip
    reference = Reference(target, Relation.LINK, "library")
    assert elf.resolve(reference, ArtifactId("pkg/a/me.so"), files, frozenset()) == found


def test_a_build_path_in_a_real_library_is_a_fact() -> None:
    path = real.file("npm:sherpa-onnx-linux-x64@1.13.8", "sherpa-onnx.node")
    data = memoryview(path.read_bytes())
    contents = elf.read(data)
    facts = dict(contents.facts)
    assert "/home/runner/work/sherpa-onnx" in facts["runpath"]
    assert facts["exported symbols"] == "257"
    assert facts["symtab bytes"] == "76667"
    assert "libsherpa-onnx-c-api.so" in [r.target for r in contents.references]
    assert contents.problems == ()
    assert not _overlaps(contents, len(data))
