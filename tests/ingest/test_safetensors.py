"""What the graph learns about a safetensors file."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_safetensors

from toolchain.errors import FormatError
from toolchain.formats.kinds import kind_of
from toolchain.ingest import safetensors
from toolchain.ir import Kind
from toolchain.reading import ingester_of

HALVES = np.array([0.5, 2], np.float32)
SAMPLE = tiny_safetensors.written(
    {
        "embed": HALVES,
        "none": HALVES[:0],
        "head": HALVES,
        "w\n": np.array([0.1], np.float32),
        "ids": np.array([1, 2, 3]),
    },
    {"format": "pt"},
)


def test_header_and_tensors_own_every_byte() -> None:
    parts = safetensors.read(memoryview(SAMPLE)).parts
    assert [p.name for p in parts] == ["header", "embed", "head", "w\ufffd", "ids"]
    at = 0
    for part in parts:
        assert part.offset == at
        at += part.size
    assert at == len(SAMPLE)


def test_each_tensor_says_its_type_its_shape_and_what_could_be_smaller_about_it() -> None:
    facts = {p.name: dict(p.facts) for p in safetensors.read(memoryview(SAMPLE)).parts}
    half = {"dtype": "float32", "shape": "[2]", "exact in": "float16"}
    assert facts["embed"] == half
    assert facts["head"] == {**half, "copy of": "embed"}
    assert facts["w\ufffd"] == {"dtype": "float32", "shape": "[1]"}
    assert facts["header"] == {}


def test_facts_say_what_could_be_smaller() -> None:
    assert dict(safetensors.read(memoryview(SAMPLE)).facts) == {
        "tensors": "5",
        "parameters": "8",
        "weights": "int64 24 B, float32 20 B",
        "exact in float16": "2 float32 tensors, 16 B",
        "stored twice": "8 B: head = embed",
        "metadata": "format",
    }


def test_a_type_that_is_not_known_is_a_problem_not_an_error() -> None:
    header = '{"a":{"dtype":"Z3","shape":[9],"data_offsets":[0,4]}}'
    contents = safetensors.read(memoryview(tiny_safetensors.packed(header, b"abcd")))
    assert contents.problems == ("tensor a is of the unknown type Z3",)
    assert [p.size for p in contents.parts if p.kind is Kind.TENSOR] == [4]


def test_files_with_this_name_are_read_by_this_ingester() -> None:
    assert ingester_of(kind_of("model.safetensors", SAMPLE[:64])) is safetensors


def test_text_is_not_a_model() -> None:
    with pytest.raises(FormatError, match="byte 0"):
        safetensors.read(memoryview(b"once upon a time, a long time ago"))
