"""Damaged models go through every pass that takes them: an error in words, or a model, in time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import hostile
import numpy as np
import pytest
import tiny_gguf
import tiny_ort
from onnx import TensorProto, helper, numpy_helper, parser

from toolchain.errors import VtoolError
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass, make_pass
from toolchain.passes.import_ort import ImportOrt
from toolchain.verify import same_answers

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


def odd(opset: int) -> bytes:
    """Return a valid model with everything strange that its version of ONNX allows."""
    numbers = {
        "nan": np.array([np.nan, np.inf, -np.inf, -0.0], np.float32),
        "again": np.array([np.nan, np.inf, -np.inf, -0.0], np.float32),
        "none": np.zeros((0, 4), np.float32),
        "half": np.array([1, 65504, 6e-8, -2], np.float16),
        "unused": np.arange(99, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Add", ["x", "nan"], ["a"]),
        helper.make_node("Mul", ["x", "again"], ["b"]),
        helper.make_node("Concat", ["none", "a", "b"], ["c"], axis=0),
        helper.make_node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["c", "wide"], ["y"]),
    ]
    stored = [numpy_helper.from_array(values, name) for name, values in numbers.items()]
    if opset >= 21:
        stored.append(
            TensorProto(name="q", data_type=TensorProto.INT4, dims=[3], raw_data=b"!\x0f")
        )
        nodes.append(helper.make_node("DequantizeLinear", ["q", "step"], ["z"]))
        stored.append(numpy_helper.from_array(np.array(0.5, np.float32), "step"))
    else:
        nodes.append(helper.make_node("Identity", ["wide"], ["z"]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "z")]
    graph = helper.make_graph(nodes, "odd", inputs, outputs, stored)
    imports = [helper.make_opsetid("", opset)]
    data: bytes = helper.make_model(
        graph, ir_version=4 if opset < 21 else 10, opset_imports=imports
    ).SerializeToString()
    return data


@pytest.mark.parametrize("opset", [7, 8, 9, 11, 13, 17, 21])
@pytest.mark.parametrize("name", ["fold-constants", "share-tensors", "drop-unused"])
def test_strange_but_valid_models_of_every_age_keep_their_answers(name: str, opset: int) -> None:
    made = make_pass(name, {})
    assert isinstance(made, ArtifactPass)
    before = odd(opset)
    after = made.rewrite(before)
    assert len(after) < len(before)
    proof = same_answers.prove(before, after, {})
    assert proof.holds, proof.detail


@pytest.mark.parametrize(
    "opset", [7, 13, 17]
)  # onnxruntime writes int4 into ORT, and cannot read it
def test_strange_but_valid_models_come_back_from_ort(opset: int) -> None:
    before = tiny_ort.saved(odd(opset))
    proof = same_answers.prove(before, ImportOrt().rewrite(before), {})
    assert proof.holds, proof.detail
