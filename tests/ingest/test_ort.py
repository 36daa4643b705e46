"""What the graph learns about an ORT model."""

from __future__ import annotations

from itertools import pairwise

import pytest
import real

from toolchain.errors import FormatError
from toolchain.ingest import ort
from toolchain.ingest.base import Contents
from toolchain.ir import Kind

PACKAGE = "pypi:moonshine-voice==0.0.73"


@pytest.fixture(scope="module")
def decoder() -> Contents:
    member = "moonshine_voice/assets/tiny-en/decoder_model_merged.ort"
    return ort.read(memoryview(real.file(PACKAGE, member).read_bytes()))


def test_tensors_own_most_of_the_file_and_never_overlap(decoder: Contents) -> None:
    parts = sorted(decoder.parts, key=lambda p: p.offset)
    assert {p.kind for p in parts} == {Kind.TENSOR}
    assert all(a.offset + a.size <= b.offset for a, b in pairwise(parts))
    assert 0.95 < sum(p.size for p in parts) / 30_412_256 < 1
    assert len({p.name for p in parts}) == len(parts)


def test_facts_name_operators_and_quantization(decoder: Contents) -> None:
    facts = dict(decoder.facts)
    assert facts["quantization"] == "dynamic int8"
    assert facts["operators"].startswith("1838: Unsqueeze 322")
    assert "ai.onnx 18" in facts["opset"]
    assert decoder.problems == ()
    assert decoder.references == ()


def test_text_is_not_a_model() -> None:
    with pytest.raises(FormatError, match="byte 0"):
        ort.read(memoryview(b"<html></html>"))
