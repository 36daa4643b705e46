"""Damaged models go through every pass that takes them: an error in words, or a model, in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import hostile
import numpy as np
import pytest
import tiny_gguf
import tiny_ort
from onnx import TensorProto, helper, numpy_helper, parser

from toolchain.errors import InputError, VtoolError
from toolchain.formats.materializer import materialize
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass, make_pass
from toolchain.passes.import_ort import ImportOrt
from toolchain.passes.package_model import PackageModel
from toolchain.passes.simplify_model import SimplifyModel
from toolchain.verify import same_answers

_MOST_SECONDS = 60  # what hangs has no end; a busy machine takes ten times as long as a quiet one

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
OPTIONS: dict[str, dict[str, object]] = {
    "bind-input": {"input": "sr", "value": 16_000},
    "store-fp16-exact": {"least_bytes": 0},
    "simplify-model": {"tools": ["onnxsim"], "load_ratio": 1000.0},
    "quantize": {"task": {"family": "unknown", "limit": 0.1}, "seconds": 1},
}
_HEAD, _TAIL = 83, 73  # bytes of ``weighty`` before the first tensor and behind the last
PASSES = {
    "import-gguf": Kind.GGUF,
    "import-ort": Kind.ORT,
    "bind-input": Kind.ONNX,
    "fold-constants": Kind.ONNX,
    "share-tensors": Kind.ONNX,
    "drop-unused": Kind.ONNX,
    "store-fp16-exact": Kind.ONNX,
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


def weighty(side: int) -> bytes:
    """Return a model whose weights, one of them in a branch, lie on a grid of 15 levels."""
    text = f"""<ir_version: 10, opset_import: ["" : 18]>
    main (float[batch, {side}] x, bool on) => (float[batch, q] y) {{
       h = MatMul (x, w)
       y = If (on) <
          then_branch = s () => (float[batch, r] p) {{ p = MatMul (h, v) }},
          else_branch = t () => (float[batch, u] q) {{ q = Neg (h) }}
       >
    }}"""
    levels = np.random.default_rng(1).integers(-7, 8, (2, side, side))
    first, second = (levels * 0.5).astype(np.float32)
    model = parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(first, "w"))
    inner = model.graph.node[1].attribute[0].g
    inner.initializer.append(numpy_helper.from_array(second, "v"))
    data: bytes = model.SerializeToString()
    return data


def damaged_beside_the_weights(data: bytes, every: int) -> Iterator[bytes]:
    """Yield copies cut anywhere, or damaged before the first tensor or behind the last."""
    yield from (data[:end] for end in range(0, len(data), every * max(1, len(data) // 400)))
    for damage, count in ((hostile.flips, 150 // every), (hostile.overwrites, 100 // every)):
        yield from damage(data, count, end=_HEAD)
        yield from (turned[::-1] for turned in damage(data[::-1], count, end=_TAIL))


@pytest.mark.parametrize(
    ("name", "side", "every"),
    [("package-model", 64, 4), ("quantize", 16, 4), ("simplify-model", 16, 4)],
)
def test_a_damaged_model_is_refused_in_words_or_made_smaller_in_time(
    name: str, side: int, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VTOOL_CACHE", str(tmp_path))  # no answer of an earlier run
    made = make_pass(name, OPTIONS.get(name, {}))
    assert isinstance(made, ArtifactPass)
    data = weighty(side)
    assert len(made.rewrite(data)) < len(data)
    refused = changed = 0
    for broken in damaged_beside_the_weights(data, every):
        start = time.monotonic()
        try:
            after = made.rewrite(broken)
        except VtoolError as error:
            refused += 1
            assert str(error)  # noqa: PT017 - the rest of the loop is for all
        else:
            changed += after is not broken
            if name == "package-model":
                assert materialize(after) == broken
        assert time.monotonic() - start < _MOST_SECONDS
    assert refused > 300 // every
    assert changed > 2


def odd(opset: int, width: int = 4) -> bytes:
    """Return a valid model with everything strange that its version of ONNX allows."""
    numbers = {
        "nan": np.resize(np.array([np.nan, np.inf, -np.inf, -0.0], np.float32), width),
        "again": np.resize(np.array([np.nan, np.inf, -np.inf, -0.0], np.float32), width),
        "none": np.zeros((0, width), np.float32),
        "half": np.resize(np.array([1, 65504, 6e-8, -2], np.float16), width),
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
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, width])]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "z")]
    graph = helper.make_graph(nodes, "odd", inputs, outputs, stored)
    imports = [helper.make_opsetid("", opset)]
    data: bytes = helper.make_model(
        graph, ir_version=4 if opset < 21 else 10, opset_imports=imports
    ).SerializeToString()
    return data


@pytest.mark.parametrize("opset", [7, 8, 9, 11, 13, 17, 21])
@pytest.mark.parametrize(
    "name", ["fold-constants", "share-tensors", "drop-unused", "store-fp16-exact"]
)
def test_strange_but_valid_models_of_every_age_keep_their_answers(name: str, opset: int) -> None:
    made = make_pass(name, OPTIONS.get(name, {}))
    assert isinstance(made, ArtifactPass)
    before = odd(opset, width=64)
    after = made.rewrite(before)
    assert len(after) < len(before)
    proof = same_answers.prove(before, after, {})
    assert proof.holds, proof.detail


@pytest.mark.parametrize("opset", [7, 21])
def test_a_strange_but_valid_model_that_a_foreign_tool_cannot_read_says_which(opset: int) -> None:
    """Nothing says how many dimensions the outputs have; ONNX allows it, onnxsim does not."""
    made = SimplifyModel(tools=("onnxsim",))
    with pytest.raises(InputError, match="onnxsim fails"):
        made.rewrite(odd(opset))


@pytest.mark.parametrize("opset", [7, 8, 9, 11, 13, 17, 21])
def test_a_strange_but_valid_model_comes_out_of_its_package_byte_for_byte(opset: int) -> None:
    before = odd(opset)
    made = PackageModel()
    assert materialize(made.rewrite(before)) == before


@pytest.mark.parametrize(
    "opset", [7, 13, 17]
)  # onnxruntime writes int4 into ORT, and cannot read it
def test_strange_but_valid_models_come_back_from_ort(opset: int) -> None:
    before = tiny_ort.saved(odd(opset))
    proof = same_answers.prove(before, ImportOrt().rewrite(before), {})
    assert proof.holds, proof.detail
