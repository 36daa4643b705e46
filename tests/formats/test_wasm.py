"""The WebAssembly reader: what it finds, and that no damage gets past it or crashes it."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import golden
import pytest
import real

from toolchain.errors import FormatError
from toolchain.formats import wasm, wasm_debug
from toolchain.ir import Kind
from toolchain.sources import tools

# imports env.f (function 0) and env.m (a memory); two functions of its own, one exported; an
# active and a passive data segment; function 1 is called "one"
SAMPLE = """\
type 01 60 00 00
import 02 03 65 6e 76 01 66 00 00 03 65 6e 76 01 6d 02 00 01
function 02 00 00
export 01 03 74 77 6f 00 02
data_count 02
code 02 02 00 0b 03 00 01 0b
data 02 00 41 80 08 0b 02 aa bb 01 01 cc
custom "name" 00 02 01 6d 01 06 01 01 03 6f 6e 65
custom "producers" 01 08 6c 61 6e 67 75 61 67 65 01 01 43 02 31 31
"""
FVAD = ("npm:@echogarden/fvad-wasm@0.2.0", "fvad.wasm")


def _bytes(text: str) -> bytes:
    return golden.encode(Kind.WASM, text)


def _error(read: Callable[[], object]) -> FormatError | None:
    """Return how ``read`` refuses; any other exception is a failure of the test."""
    try:
        read()
    except FormatError as error:
        return error
    return None


def test_everything_that_is_declared_is_found_where_it_lies() -> None:
    data = _bytes(SAMPLE)
    module = wasm.read(memoryview(data))
    assert [s.label for s in module.sections] == [
        "type", "import", "function", "export", "data_count", "code", "data",
        "custom:name", "custom:producers",
    ]  # fmt: skip
    assert module.imports == (("env", "f", "function"), ("env", "m", "memory"))
    assert module.exports == (("two", "function", 2),)
    assert [(b.number, data[b.start : b.end]) for b in module.bodies] == [
        (1, b"\2\0\x0b"),
        (2, b"\3\0\1\x0b"),
    ]
    assert [(data[s.start : s.end], s.address) for s in module.segments] == [
        (b"\xaa\xbb", 1024),
        (b"\xcc", None),
    ]
    assert wasm_debug.function_names(data, module) == {1: "one"}
    assert wasm_debug.producers(data, module) == (("C", "11"),)


def test_sections_and_header_cover_the_file() -> None:
    data = _bytes(SAMPLE)
    at = wasm.HEADER_BYTES
    for section in wasm.sections(data):
        assert section.start == at
        at = section.end
    assert at == len(data)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("raw 00 61 73 6d 0d 00 01 00", "a WebAssembly component, not a module at byte 4"),
        ("raw 00 61 73 6d 02 00 00 00", "unknown version at byte 4"),
        ("raw 00 61 73", "not a WebAssembly module at byte 0"),
        ("raw 00 61 73 6d 01 00 00 00 0e 00", "unknown section 14 at byte 8"),
        ("raw 00 61 73 6d 01 00 00 00 00 02 01 ff", "name is not UTF-8 at byte 10"),
        ("raw 00 61 73 6d 01 00 00 00 01 ff ff ff ff 1f", "number needs more than 32 bits"),
        ("type 00\ntype 00", "section type twice or out of order at byte 11"),
        ("code 00\nfunction 00", "section function twice or out of order at byte 11"),
        ("function 01 00", "1 functions declared, 0 bodies at byte 8"),
        ("code 01 02 00 0b", "0 functions declared, 1 bodies at byte 8"),
        ("function 01 00\ncode 01 01 0b", "a vector cannot have 1 elements here"),
        ("function 01 00\ncode 01 02 00 0b 00", "section code has 1 bytes too many"),
        ("function 01 00\ncode 01 01 0b 00", "a function body has at least two bytes"),
        ("import 01 00 00 05 00", "unknown kind of import 5"),
        ("export 01 00 09 00", "unknown kind of export 9"),
        ("data 01 03 00", "unknown kind of data segment 3"),
        ("data 01 00 fb 00 0b 00", "instruction 0xfb in a constant expression"),
        ("data 01 01 05 61", "5 bytes are promised, 1 are left"),
    ],
)
def test_what_is_wrong_is_named_with_its_offset(text: str, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        wasm.read(_bytes(text))


@pytest.mark.parametrize(
    "entry",
    [
        "01 70 00 01",  # table of funcref, minimum 1
        "01 64 70 01 01 02",  # table of (ref func), 1 to 2
        "02 03 01 02",  # shared memory
        "02 05 80 80 80 80 10 80 80 80 80 20",  # 64-bit memory
        "02 08 01 00",  # memory with a page size of its own
        "03 7f 01",  # mutable i32
        "03 63 80 01 00",  # nullable reference to type 128
        "04 00 00",  # tag
    ],
)
def test_every_kind_of_import_is_stepped_over_exactly(entry: str) -> None:
    data = _bytes(f"import 02 01 61 01 62 {entry} 01 63 01 64 00 00")
    assert [i.name for i in wasm.read(data).imports] == ["b", "d"]


def test_a_cut_at_any_byte_is_refused_or_ends_a_section() -> None:
    data = _bytes(SAMPLE)
    ends = {wasm.HEADER_BYTES, *(s.end for s in wasm.sections(data))}
    for cut in range(len(data)):
        error = _error(lambda kept=data[:cut]: wasm.sections(kept))
        assert (error is None) == (cut in ends)
        assert error is None or error.offset <= cut


def test_no_damage_crashes_the_reader_and_none_makes_it_refuse_what_an_engine_accepts(
    tmp_path: Path,
) -> None:
    chance = random.Random(20)  # noqa: S311 - reproducible damage, not secrets
    sources = [_bytes(SAMPLE), real.file(*FVAD).read_bytes()]
    damaged = []
    for i in range(600):
        data = bytearray(sources[i % 2])
        for _ in range(chance.choice([1, 1, 2, 8])):
            # the heads of sections are where the reader looks; most bytes are code
            at = chance.randrange(min(len(data), chance.choice([80, len(data)])))
            data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1 << chance.randrange(8)])
        damaged.append(bytes(data))
    accepted = []
    for data in damaged:
        errors = [_error(lambda raw=data: wasm.read(memoryview(raw))), *_custom_errors(data)]
        assert all(0 <= e.offset <= len(data) for e in errors if e is not None)
        accepted.append(errors[0] is None)
    said = _node_accepts(damaged, tmp_path)
    assert sum(said) > 20, "the damage leaves nothing to compare"
    assert sum(accepted) < 580, "the damage does no harm"
    wrong = [
        i for i, (ours, engine) in enumerate(zip(accepted, said, strict=True)) if engine > ours
    ]
    assert wrong == []


def _custom_errors(data: bytes) -> list[FormatError | None]:
    if _error(lambda: wasm.read(data)) is not None:
        return []
    module = wasm.read(data)
    return [
        _error(lambda: wasm_debug.function_names(data, module)),
        _error(lambda: wasm_debug.producers(data, module)),
    ]


def _node_accepts(modules: list[bytes], folder: Path) -> list[bool]:
    for i, data in enumerate(modules):
        (folder / f"{i}.wasm").write_bytes(data)
    code = (
        "const fs = require('node:fs'); const out = [];"
        f"for (let i = 0; i < {len(modules)}; i++)"
        " out.push(WebAssembly.validate(fs.readFileSync(i + '.wasm')));"
        "process.stdout.write(JSON.stringify(out));"
    )
    done = subprocess.run(
        [tools.node(), "-e", code], cwd=folder, capture_output=True, check=True, timeout=60
    )
    answers: list[bool] = json.loads(done.stdout)
    return answers


_ABSURD = [b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x08"]


@pytest.mark.parametrize("size", _ABSURD)
@pytest.mark.parametrize("section", range(14))
def test_no_absurd_section_size_is_believed(section: int, size: bytes) -> None:
    with pytest.raises(FormatError, match="bytes are promised, 40 are left"):
        wasm.sections(b"\0asm\1\0\0\0" + bytes([section]) + size + bytes(40))


@pytest.mark.parametrize("size", _ABSURD)
@pytest.mark.parametrize("section", ["import", "function", "export", "code", "data"])
def test_no_absurd_count_is_believed(section: str, size: bytes) -> None:
    with pytest.raises(FormatError, match="a vector cannot have"):
        wasm.read(_bytes(f"{section} {size.hex()} {'01' * 40}"))


def test_a_million_functions_too_many_are_refused_quickly() -> None:
    section = b"\xc1\x84\x3d" + bytes(1_000_001)  # its count, then as many type numbers
    data = b"\0asm\1\0\0\0\3" + b"\xc4\x84\x3d" + section
    with pytest.raises(FormatError, match="cannot have 1000001 elements"):
        wasm.read(data)


def test_the_limit_on_sections_holds() -> None:
    data = b"\0asm\1\0\0\0" + b"\0\1\0" * 100_001
    with pytest.raises(FormatError, match="more than 100000 sections"):
        wasm.sections(data)


@pytest.mark.parametrize(
    ("package", "member", "imports", "exports", "functions"),
    [
        ("npm:@runanywhere/web-onnx@0.1.0-beta.10", "wasm/sherpa/sherpa-onnx.wasm", 34, 95, 15179),
        ("npm:onnxruntime-web@1.30.0", "dist/ort-wasm-simd-threaded.jsep.wasm", 128, 143, 18222),
    ],
)
def test_real_modules_are_read_as_the_engine_reads_them(
    package: str, member: str, imports: int, exports: int, functions: int
) -> None:
    path = real.file(package, member)
    module = wasm.read(memoryview(path.read_bytes()))
    code = (
        "const m = new WebAssembly.Module(require('node:fs').readFileSync(process.argv[1]));"
        "const i = WebAssembly.Module.imports(m).map((x) => [x.module, x.name]);"
        "const e = WebAssembly.Module.exports(m).map((x) => x.name);"
        "process.stdout.write(JSON.stringify([i, e]));"
    )
    done = subprocess.run(
        [tools.node(), "-e", code, path], capture_output=True, check=True, timeout=60
    )
    said = json.loads(done.stdout)
    assert [[i.module, i.name] for i in module.imports] == said[0]
    assert [e.name for e in module.exports] == said[1]
    assert (len(module.imports), len(module.exports)) == (imports, exports)
    assert len(module.bodies) == functions
