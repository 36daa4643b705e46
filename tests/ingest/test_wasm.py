"""What the graph learns of a WebAssembly module."""

from __future__ import annotations

import json

import golden
import pytest
import real

from toolchain.errors import FormatError
from toolchain.ingest import wasm
from toolchain.ingest.base import Part
from toolchain.ir import Kind

CODE = "function 02 00 00\ncode 02 02 00 0b 03 00 01 0b\n"


def _read(text: str) -> wasm.Contents:
    return wasm.read(memoryview(golden.encode(Kind.WASM, text)))


def _covers(parts: tuple[Part, ...], size: int) -> bool:
    at = 0
    for part in parts:
        if part.offset != at or part.size <= 0:
            return False
        at += part.size
    return at == size and len({(p.kind, p.name) for p in parts}) == len(parts)


def test_parts_are_named_after_their_sections_and_cover_the_file() -> None:
    contents = _read(CODE + 'custom "name" 00 01 00\ncustom "x" 01\ncustom "x" 02')
    assert [(p.kind, p.name) for p in contents.parts] == [
        (Kind.HEADER, "header"),
        (Kind.SECTION, "function"),
        (Kind.SECTION, "code"),
        (Kind.FUNCTION, "func[0]"),
        (Kind.FUNCTION, "func[1]"),
        (Kind.SECTION, "custom:name"),
        (Kind.SECTION, "custom:x"),
        (Kind.SECTION, "custom:x:2"),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["x", "x:2", "x"],
        ["x:2", "x", "x", "x"],
        ["", "", ":2"],
        ["a" * 300 + "b", "a" * 300 + "c"],
        ["a\nb", "a\tb", "\x1b[2J"],
    ],
)
def test_names_stay_unique_short_and_printable_whatever_a_module_calls_its_sections(
    names: list[str],
) -> None:
    text = "".join(f"custom {json.dumps(n)} 01\n" for n in names)
    data = golden.encode(Kind.WASM, text)
    parts = wasm.read(memoryview(data)).parts
    assert _covers(parts, len(data))
    assert all(p.name.isprintable() and len(p.name) < 220 for p in parts)


def test_facts_say_what_people_ask() -> None:
    contents = _read(
        "import 02 01 61 01 66 00 00 01 62 01 67 00 00\n" + CODE + "data 01 01 01 00\n"
        'custom "producers" 01 08 6c 61 6e 67 75 61 67 65 02 01 43 02 31 31 01 44 00\n'
        'custom ".debug_info" 00'
    )
    assert dict(contents.facts) == {
        "functions": "2",
        "imports": "2 from a, b",
        "exports": "0",
        "data segments": "1",
        "debug info": "yes",
        "toolchain": "C 11, D",
    }
    assert contents.references == ()
    assert dict(_read(CODE).facts)["debug info"] == "no"


def test_a_custom_section_no_engine_reads_may_be_broken_but_that_is_said() -> None:
    contents = _read(CODE + 'custom "producers" 09 01')
    assert contents.problems == (
        "custom section producers: a vector cannot have 9 elements here at byte 35",
    )


def test_a_broken_module_is_refused() -> None:
    with pytest.raises(FormatError, match="2 functions declared, 0 bodies"):
        _read("function 02 00 00")


def test_functions_take_the_place_of_the_code_section() -> None:
    name = 'custom "name" 01 06 01 01 03 6f 6e 65'
    data = golden.encode(Kind.WASM, CODE + name)
    parts = wasm.read(memoryview(data)).parts
    assert _covers(parts, len(data))
    assert [(p.kind, p.name, p.size) for p in parts[2:5]] == [
        (Kind.SECTION, "code", 3),
        (Kind.FUNCTION, "func[0]", 3),
        (Kind.FUNCTION, "one", 4),
    ]


@pytest.mark.parametrize(
    ("package", "member"),
    [
        ("npm:@runanywhere/web-onnx@0.1.0-beta.10", "wasm/sherpa/sherpa-onnx.wasm"),
        ("npm:@echogarden/rnnoise-wasm@0.2.0", "rnnoise.wasm"),
    ],
)
def test_every_byte_of_a_real_module_has_one_owner(package: str, member: str) -> None:
    data = memoryview(real.file(package, member).read_bytes())
    contents = wasm.read(data)
    assert _covers(contents.parts, len(data))
    count = int(dict(contents.facts)["functions"])
    shown = sum(p.kind is Kind.FUNCTION for p in contents.parts)
    assert shown == (count if count <= wasm.MOST_FUNCTIONS else 0)
    assert count > 10
