"""Damaged models go through every pass that takes them: an error in words, or a model, in time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import hostile
import pytest
import tiny_gguf
import tiny_ort
from onnx import parser

from toolchain.errors import VtoolError
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass, make_pass

_MOST_SECONDS = 5

ONNX = """<ir_version: 10, opset_import: ["" : 18, "me" : 1]>
main (float[batch, 4] x, int64 sr) => (float[batch, q] y, float[2] z)
<float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[4, 2] same = {1, 2, 3, 4, 5, 6, 7, 8}> {
   rate = Constant <value = int64 {16000}> ()
   fast = Equal (sr, rate)
   a = MatMul (x, w)
   b = me.f (a)
   two = Constant <value = float[2] {1, 2}> ()
   z = Add (two, two)
   y = If (fast) <
      then_branch = s () => (float[batch, r] p) <float[1] inner = {9}> { p = Mul (b, inner) },
      else_branch = t () => (float[batch, s] q) { c = MatMul (x, same) q = Add (c, b) }
   >
}
<opset_import: ["" : 18], domain: "me">
f (a) => (b) { b = Relu (a) }
"""

SAMPLES = {
    Kind.ONNX: parser.parse_model(ONNX).SerializeToString(),
    Kind.ORT: tiny_ort.of(ONNX),
    Kind.GGUF: tiny_gguf.written(
        *tiny_gguf.llama(layers=1, hidden=32, heads=2, inner=32, vocabulary=8)
    ),
}
OPTIONS = {"bind-input": {"input": "sr", "value": 16_000}}
PASSES = {
    "import-gguf": Kind.GGUF,
    "import-ort": Kind.ORT,
    "bind-input": Kind.ONNX,
    "fold-constants": Kind.ONNX,
    "share-tensors": Kind.ONNX,
    "drop-unused": Kind.ONNX,
}


def damaged(data: bytes) -> Iterator[bytes]:
    step = max(1, len(data) // 400)
    yield from (data[:end] for end in range(0, len(data), step))
    yield from hostile.flips(data, 150)
    yield from hostile.overwrites(data, 100)


@pytest.mark.parametrize("name", PASSES)
def test_a_damaged_model_is_refused_in_words_or_rewritten_in_time(name: str) -> None:
    made = make_pass(name, OPTIONS.get(name, {}))
    assert isinstance(made, ArtifactPass)
    assert made.kinds == {PASSES[name]}
    data = SAMPLES[PASSES[name]]
    assert made.rewrite(data)
    refused = 0
    for broken in damaged(data):
        start = time.monotonic()
        try:
            made.rewrite(broken)
        except VtoolError as error:
            refused += 1
            assert str(error)  # noqa: PT017 - the rest of the loop is for all
        assert time.monotonic() - start < _MOST_SECONDS
    assert refused > 200
