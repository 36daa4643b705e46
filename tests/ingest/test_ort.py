"""What the graph learns about an ORT model."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import real

from toolchain.errors import FormatError
from toolchain.formats import ort_to_onnx
from toolchain.ingest import onnx, ort
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


def test_tensors_have_the_facts_they_have_in_the_same_model_as_onnx(decoder: Contents) -> None:
    member = "moonshine_voice/assets/tiny-en/decoder_model_merged.ort"
    model = ort_to_onnx.to_onnx(real.file(PACKAGE, member).read_bytes()).SerializeToString()
    same = onnx.read(memoryview(model)).parts
    expected = Counter(p.facts for p in same if p.kind is Kind.TENSOR)
    found = Counter(p.facts for p in decoder.parts)
    assert found.total() == 1745
    assert all("read by" in dict(facts) for facts in found)
    assert found - expected == Counter()
    # what has no numbers has bytes in ONNX, its description, and none of its own here
    assert {dict(facts)["shape"] for facts in expected - found} == {"[0, 8, 1, 36]"}


def test_text_is_not_a_model() -> None:
    with pytest.raises(FormatError, match="byte 0"):
        ort.read(memoryview(b"<html></html>"))
