"""Execution formats: other nodes, the same answers; weights on a grid stay what they are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper, parser

from toolchain.errors import ConfigError, FormatError
from toolchain.formats import onnx_model
from toolchain.formats.execution_format import FOLDED, FORMATS, applied
from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.formats.onnx_constants import scopes
from toolchain.formats.onnx_products import product_of
from toolchain.formats.onnx_session import run, session

QUANTIZED = sorted(set(FORMATS) - {FOLDED, "matmul-float"})
PRODUCTS = [name for name in QUANTIZED if name.startswith("matmul")]


def model_of(body: str, weights: dict[str, NDArray[np.generic]], *, inputs: str = "") -> bytes:
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        main (float[m, k] x {inputs}) => (float[m, n] y) {{ {body} }}"""
    )
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    return onnx_model.serialized(model)


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def on_grid(rows: int, columns: int, most: int, seed: int = 0) -> NDArray[np.float32]:
    """Return weights that are integers times a step a column."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(-most, most + 1, (rows, columns)).astype(np.float32)
    return codes * generator.uniform(1e-4, 10, columns).astype(np.float32)


def operators(model: bytes) -> list[str]:
    return sorted(n.op_type for n in onnx_model.nodes(onnx_model.load(model)))


def products(model: bytes) -> list[NDArray[np.float32]]:
    """Return the weights of all products, as they are read back."""
    graph = onnx_model.load(model).graph
    found = [product_of(node, s) for s in scopes(graph) for node in s.graph.node]
    return [product.weights for product in found if product]


def answer(model: bytes, **feeds: NDArray[np.generic]) -> NDArray[np.float32]:
    return run(session(model), feeds)["y"].astype(np.float32)


def relative(model: bytes, before: bytes, **feeds: NDArray[np.generic]) -> float:
    expected = answer(before, **feeds)
    return float(np.abs(answer(model, **feeds) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", QUANTIZED)
def test_answers_stay_near_and_a_second_time_changes_nothing(name: str) -> None:
    weights = {"w": normal(96, 64), "b": normal(64, seed=1), "v": normal(48, 64, seed=2)}
    before = model_of("h = Gemm (x, w, b) y = Gemm <transB = 1> (h, v)", weights)
    after = applied(before, name)
    assert len(after) < len(before) * 0.7
    onnx.checker.check_model(onnx_model.load(after))
    assert relative(after, before, x=normal(5, 96)) < (0.2 if name.endswith("4") else 0.02)
    assert applied(after, name) is after


@pytest.mark.parametrize("name", QUANTIZED)
@settings(max_examples=12)
@given(seed=st.integers(0, 99), rows=st.sampled_from([32, 40, 96]), turned=st.booleans())
def test_weights_on_a_grid_are_read_back_bit_by_bit(
    name: str, seed: int, rows: int, *, turned: bool
) -> None:
    weights = on_grid(rows, 64, 7 if name.endswith("4") else 127, seed)
    if name == "fp16-storage":
        weights = weights.astype(np.float16).astype(np.float32)
    stored = {"w": weights.T if turned else weights}
    body = "y = Gemm <transB = 1> (x, w)" if turned else "y = MatMul (x, w)"
    before = model_of(body, stored)
    after = applied(before, name)
    assert after is not before
    if name.startswith("matmul-integer"):
        arrays = {
            t.name: numpy_helper.to_array(t) for t in onnx_model.load(after).graph.initializer
        }
        codes = next(a for a in arrays.values() if a.dtype == np.int8)
        steps = next(a for a in arrays.values() if a.shape == (64,))
        back = codes * steps
    else:
        (back,) = products(after)
    np.testing.assert_array_equal(back, weights)


def test_blocks_with_their_own_steps_are_read_back_bit_by_bit() -> None:
    weights = np.vstack([on_grid(32, 64, 7, seed) for seed in range(3)])
    (back,) = products(applied(model_of("y = MatMul (x, w)", {"w": weights}), "matmul-nbits-4"))
    np.testing.assert_array_equal(back, weights)


def test_products_that_read_the_same_are_rounded_once() -> None:
    weights = {name: normal(64, 64, seed=i) for i, name in enumerate("abc")}
    body = "p = MatMul (x, a) q = MatMul (x, b) r = MatMul (p, c) s = Add (p, q) y = Add (r, s)"
    after = operators(applied(model_of(body, weights), "matmul-integer"))
    assert after.count("MatMulInteger") == 3
    assert after.count("DynamicQuantizeLinear") == 2


@pytest.mark.parametrize("name", QUANTIZED)
def test_weights_in_and_around_branches_are_rewritten_with_names_kept_apart(name: str) -> None:
    before = model_of(
        """y = If (c) <
            then_branch = one () => (float[m, n] t) { p = MatMul (x, w)  t = MatMul (p, u) },
            else_branch = two () => (float[m, n] t) { p = MatMul (x, u)  t = Relu (p) }
        >""",
        {"w": normal(64, 64), "u": normal(64, 64, seed=1)},
        inputs=", bool c",
    )
    after = applied(before, name)
    assert after is not before
    onnx.checker.check_model(onnx_model.load(after), full_check=name not in PRODUCTS)
    for taken in (True, False):
        feeds = {"x": normal(5, 64), "c": np.array(taken)}
        assert relative(after, before, **feeds) < (0.3 if name.endswith("4") else 0.03)


def test_two_digits_keep_small_activations_beside_a_large_one() -> None:
    before = model_of("y = MatMul (x, w)", {"w": on_grid(64, 64, 127)})
    x = normal(5, 64)
    x[2, 7] = 1000
    one, two = (applied(before, f"matmul-integer{digits}") for digits in ("", "-16"))
    expected = answer(before, x=x)
    rest = [0, 1, 3, 4]  # the rows without the large one
    error = [np.abs(answer(m, x=x) - expected)[rest].max(axis=0) for m in (one, two)]
    largest = np.abs(expected)[rest].max(axis=0)
    assert (error[0] / largest).max() > 0.3
    assert (error[1] / largest).max() < 0.05
    for model in (one, two):
        assert not answer(model, x=np.zeros((5, 64), np.float32)).any()


@pytest.mark.parametrize("opset", [17, 18, 21])
def test_rows_with_their_own_steps_keep_small_ones_beside_a_large_one(opset: int) -> None:
    graph = onnx_model.load(model_of("y = MatMul (x, w)", {"w": on_grid(64, 64, 127)}))
    graph.opset_import[0].version = opset
    before = onnx_model.serialized(graph)
    x = normal(5, 64)
    x[2, 7] = 1000
    x[3] = 0
    after = applied(before, "matmul-integer-rows")
    onnx.checker.check_model(onnx_model.load(after))
    expected, observed = answer(before, x=x), answer(after, x=x)
    assert not observed[3].any()
    rest = [0, 1, 4]  # the rows without the large one
    largest = np.abs(expected)[rest].max(axis=0)
    assert (np.abs(observed - expected)[rest].max(axis=0) / largest).max() < 0.05


def test_models_older_than_integer_products_stay_as_they_are() -> None:
    graph = onnx_model.load(model_of("y = MatMul (x, w)", {"w": normal(64, 64)}))
    graph.opset_import[0].version = 10
    before = onnx_model.serialized(graph)
    assert all(applied(before, n) is before for n in PRODUCTS if n.startswith("matmul-integer"))


def test_products_before_a_branch_and_in_it_are_both_rewritten() -> None:
    body = """h = MatMul (x, w)  y = If (c) <
        then_branch = one () => (float[m, n] t) { t = MatMul (h, u) },
        else_branch = two () => (float[m, n] t) { t = Relu (h) }
    >"""
    weights = {"w": normal(64, 64), "u": normal(64, 64, seed=1)}
    after = applied(model_of(body, weights, inputs=", bool c"), "matmul-nbits-8")
    assert operators(after).count("MatMulNBits") == 2


def test_an_input_of_a_body_is_not_the_constant_of_its_name_outside() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        main (float[2] x, bool c) => (float[2] y) <int64 times = {3}, float[2] w = {1, 2}> {
            y = Loop (times, c, x) <
                body = inner (int64 i, bool d, float[2] w) => (bool e, float[2] z)
                { e = Identity (d)  z = Add (w, w) }>
        }"""
    )
    outer, inner = scopes(model.graph)
    assert outer.array("w") is not None
    assert inner.array("w") is None
    assert inner.array("times") == np.int64(3)


@pytest.mark.parametrize("name", QUANTIZED)
def test_what_the_caller_may_replace_stays(name: str) -> None:
    before = model_of("y = MatMul (x, w)", {"w": normal(64, 64)}, inputs=", float[64, 64] w")
    assert applied(before, name) is before


@pytest.mark.parametrize("name", QUANTIZED)
@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("y = MatMul (x, w)", normal(8, 8)),
        ("y = MatMulInteger (x, w)", np.ones((64, 64), np.int8)),
        ("t = Transpose <perm = [1, 0]> (x) y = MatMul (t, x)", normal(1)),
    ],
    ids=["small", "integers", "no weights"],
)
def test_a_format_that_changes_nothing_returns_what_it_got(
    name: str, body: str, weights: NDArray[np.generic]
) -> None:
    before = model_of(body, {"w": weights})
    assert applied(before, name) is before


def test_gemm_that_scales_is_left_alone() -> None:
    before = model_of("y = Gemm <alpha = 0.5> (x, w)", {"w": normal(64, 64)})
    assert all(applied(before, name) is before for name in PRODUCTS)


def test_matmul_nbits_becomes_matmul_integer_with_its_own_weights() -> None:
    before = model_of("y = MatMul (x, w)", {"w": on_grid(64, 64, 7)})
    blocks = applied(before, "matmul-nbits-4")
    after = applied(blocks, "matmul-integer")
    assert "MatMulInteger" in operators(after)
    assert "MatMulNBits" not in operators(after)
    assert relative(after, before, x=normal(5, 64)) < 0.01


@pytest.mark.parametrize("blocks", ["matmul-nbits-4", "matmul-nbits-8"])
def test_blocks_become_float32_matrices_of_the_same_numbers(blocks: str) -> None:
    weights = {"w": on_grid(64, 64, 7), "v": on_grid(64, 48, 7), "b": normal(64)}
    before = model_of("h = Gemm (x, w, b) y = MatMul (h, v)", weights)
    packed = applied(before, blocks)
    after = applied(packed, "matmul-float")
    assert operators(after) == ["Add", "MatMul", "MatMul"]
    assert sorted(w.shape for w in products(after)) == [(64, 48), (64, 64)]
    for one, other in zip(products(after), (weights["w"], weights["v"]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert relative(after, before, x=normal(5, 64)) < 1e-6
    assert applied(before, "matmul-float") is before


def test_steps_of_columns_that_are_zero_or_infinite_do_no_harm() -> None:
    weights = normal(64, 64)
    weights[:, 3] = 0
    for name in QUANTIZED:
        after = applied(model_of("y = MatMul (x, w)", {"w": weights}), name)
        assert np.all(answer(after, x=normal(5, 64))[:, 3] == 0)
    weights[2, 5] = np.inf
    before = model_of("y = MatMul (x, w)", {"w": weights})
    assert all(applied(before, name) is before for name in QUANTIZED)


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="no execution format 'int3'"):
        applied(b"", "int3")
    with pytest.raises(FormatError):
        applied(b"no model", "matmul-integer")


def convolution(op: str, weights: NDArray[np.float32]) -> ModelProto:
    graph = GraphBuilder()
    stored = graph.constant("w", weights)
    graph.add(op, "x", stored, outputs=["y"])
    shape = (1, weights.shape[0 if op == "ConvTranspose" else 1], "n")
    return graph.model([value("x", np.float32, shape)], [value("y", np.float32, "abc")], {})


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_convolutions_have_a_step_for_each_output_channel(op: str) -> None:
    weights = normal(24, 32, 3)
    weights *= (
        np.logspace(-3, 3, 24 if op == "Conv" else 32)
        .astype(np.float32)
        .reshape((-1, 1, 1) if op == "Conv" else (1, -1, 1))
    )
    before = onnx_model.serialized(convolution(op, weights))
    after = applied(before, "int8-weights")
    expected, seen = (
        answer(m, x=normal(1, weights.shape[op == "Conv"], 9)) for m in (before, after)
    )
    error = np.abs(seen - expected).max(axis=(0, 2)) / np.abs(expected).max(axis=(0, 2))
    assert error.max() < 0.02
    assert helper.np_dtype_to_tensor_dtype(np.dtype(np.int8)) in {
        t.data_type for t in onnx_model.load(after).graph.initializer
    }
