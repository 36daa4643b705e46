"""Folding never makes a model larger: what it must leave to the runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper, parser

from toolchain.formats import onnx_model
from toolchain.formats.onnx_specialize import with_constants_folded

W = np.arange(600, dtype=np.float32).reshape(30, 20)


def model_of(body: str, weight: np.ndarray = W) -> ModelProto:
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        main (float[n, 20] x) => (float[n, k] y) {{ {body} }}"""
    )
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


def folded(model: ModelProto) -> tuple[list[str], int]:
    before = len(onnx_model.serialized(model))
    after = with_constants_folded(model)
    return [n.op_type for n in onnx_model.nodes(after)], len(onnx_model.serialized(after)) - before


def test_a_weight_that_only_a_transpose_reads_is_stored_transposed() -> None:
    operators, grown = folded(model_of("t = Transpose (w) y = MatMul (x, t)"))
    assert operators == ["MatMul"]
    assert grown < 0


@pytest.mark.parametrize(
    "body",
    [
        "t = Transpose (w) h = MatMul (x, t) y = MatMul (h, w)",
        "t = Transpose (w) u = Transpose <perm = [1, 0]> (w) h = Add (t, u) y = MatMul (x, h)",
    ],
)
def test_a_weight_that_something_else_reads_too_is_not_stored_twice(body: str) -> None:
    operators, grown = folded(model_of(body))
    assert "Transpose" in operators
    assert grown <= 0


def test_all_pieces_of_a_weight_together_are_no_larger_than_it() -> None:
    operators, grown = folded(
        model_of(
            """a, b = Split <axis = 0> (w)
               s = Transpose (a) t = Transpose (b)
               p = MatMul (x, s) q = MatMul (x, t) y = Add (p, q)"""
        )
    )
    assert operators == ["MatMul", "MatMul", "Add"]
    assert grown < 0


def test_overlapping_pieces_of_a_weight_are_larger_than_it() -> None:
    body = """zero = Constant <value = int64[1] {0}> () ten = Constant <value = int64[1] {10}> ()
        most = Constant <value = int64[1] {28}> () all = Constant <value = int64[1] {30}> ()
        a = Slice (w, zero, most) b = Slice (w, ten, all)
        s = Transpose (a) t = Transpose (b)
        h = MatMul (x, s) g = MatMul (x, t) y = Concat <axis = 1> (h, g)"""
    operators, grown = folded(model_of(body))
    assert operators.count("Slice") == 2
    assert grown <= 0


def test_a_weight_stored_in_half_the_bytes_stays_so() -> None:
    body = "wide = Cast <to = 1> (w) t = Transpose (wide) y = MatMul (x, t)"
    operators, grown = folded(model_of(body, W.astype(np.float16)))
    assert operators == ["Cast", "Transpose", "MatMul"]
    assert grown <= 0
