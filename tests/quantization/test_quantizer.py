"""Codes of one weight: what is lost, what is gained, and that decoding is what was judged."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_weights as tiny
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolchain.formats import onnx_model
from toolchain.formats.coded_tensor import CodedTensor, decoded
from toolchain.formats.onnx_weights import Weight, weights
from toolchain.quantization.exact import exact_codes
from toolchain.quantization.quantizer import Kind, coded, fits, prepared, rate_bits
from toolchain.quantization.rate import entropy_bits, price_list, tensor_bits

DEPTH = 24


def weight(name: str = "w", data: bytes | None = None) -> Weight:
    model = onnx_model.load(data or tiny.matmul())
    return next(w for w in weights(model, 1) if w.name == name)


def moments(spread: float, mixed: float, seed: int = 1, depth: int = DEPTH) -> NDArray[np.float64]:
    """Return second moments of inputs whose energies differ, and which depend on one another."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((500, 3)) @ rng.standard_normal((3, depth)) * mixed
    x = (common + rng.standard_normal((500, depth))) * np.exp(spread * rng.standard_normal(depth))
    found: NDArray[np.float64] = (x.T @ x / len(x))[None]
    return found


def error(one: Weight, tensor: CodedTensor, known: NDArray[np.float64]) -> float:
    wrong = decoded(tensor).astype(np.float64).T - one.values.astype(np.float64).T
    return float(np.einsum("rj,jk,rk->", wrong, known[0], wrong))


@settings(max_examples=40)
@given(st.floats(0, 2), st.floats(0, 3), st.sampled_from([0.003, 0.02, 0.1]), st.integers(0, 99))
@example(1.09375, 0.0, 0.003, 3)  # the worst that was found: 0.164 bits; uncorrelated inputs
def test_knowing_the_inputs_saves_bits_at_equal_error(
    spread: float, mixed: float, multiplier: float, seed: int
) -> None:
    one, known = weight(), moments(spread, mixed, seed)
    blind, aware = prepared(one, None), prepared(one, known)
    first = coded(blind, multiplier)
    # 6 dB are a bit: what the one lost more than the other, as bits for each number
    second = coded(aware, multiplier)
    lead = 0.5 * np.log2(error(one, first, known) / error(one, second, known))
    spent = (entropy_bits(second.codes) - entropy_bits(first.codes)) / one.values.size
    assert lead - spent > -0.18


@pytest.mark.parametrize("depth", [DEPTH, 150])  # one block of columns, and more than two
def test_dependent_inputs_are_worth_a_bit_and_more(depth: int) -> None:
    text = f"main (float[1, {depth}] x) => (float[1, 16] y) {{ y = MatMul (x, w) }}"
    one = weight("w", tiny.model(text, w=tiny.noise(depth, 16)))
    known = moments(1.0, 3.0, depth=depth)
    first, second = coded(prepared(one, None), 0.05), coded(prepared(one, known), 0.05)
    lead = 0.5 * np.log2(error(one, first, known) / error(one, second, known))
    spent = (entropy_bits(second.codes) - entropy_bits(first.codes)) / one.values.size
    assert lead - spent > 1.0


@pytest.mark.parametrize("known", [None, moments(1.0, 1.0)])
def test_finer_steps_lose_less_and_cost_more(known: NDArray[np.float64] | None) -> None:
    one = weight()
    ready = prepared(one, known)
    made = [coded(ready, m) for m in (0.3, 0.1, 0.03, 0.01)]
    judged = known if known is not None else np.eye(DEPTH)[None]
    errors = [error(one, c, judged) for c in made]
    assert errors == sorted(errors, reverse=True)
    assert [tensor_bits(c) for c in made] == sorted(tensor_bits(c) for c in made)


@pytest.mark.parametrize("known", [None, moments(1.0, 1.0)])
def test_errors_are_as_large_as_the_multiplier_says(known: NDArray[np.float64] | None) -> None:
    one = weight()
    tensor = coded(prepared(one, known), 0.03)
    judged = known if known is not None else np.eye(DEPTH)[None]
    size = float(np.einsum("jr,jk,kr->", one.values, judged[0], one.values))
    assert 0.5 < np.sqrt(error(one, tensor, judged) / size) / 0.03 < 2.0


def test_bits_are_spent_where_they_are_worth_it() -> None:
    ready = prepared(weight(), None)
    nearest = np.rint(ready.values / ready.steps(0.5)).astype(np.int32)
    assert entropy_bits(coded(ready, 0.5).codes) < 0.95 * entropy_bits(nearest)


def test_the_estimated_rate_is_near_the_real_one() -> None:
    ready = prepared(weight(), moments(1.0, 1.0))
    assert 0.85 < rate_bits(ready, 0.02) / tensor_bits(coded(ready, 0.02)) < 1.2


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("known", [None, moments(1.0, 1.0)])
def test_integers_stay_integers_of_their_type(
    dtype: str, known: NDArray[np.float64] | None
) -> None:
    one = weight("w", tiny.integer_matmul(dtype))
    tensor = coded(prepared(one, known), 0.05)
    after = decoded(tensor)
    assert (after.dtype, after.shape) == (one.values.dtype, one.values.shape)
    steps = tensor.factors[0].max()
    assert np.abs(after.astype(int) - one.values.astype(int)).max() < 40 * max(1, steps)
    assert entropy_bits(tensor.codes) < entropy_bits(one.values.astype(np.int32)) / 1.4


@pytest.mark.parametrize("kind", list(tiny.EVERY_KIND))
def test_every_weight_of_every_kind_can_be_coded(kind: str) -> None:
    for one in weights(onnx_model.load(tiny.EVERY_KIND[kind]()), 1):
        after = decoded(coded(prepared(one, None), 0.01))
        assert after.shape == one.values.shape
        wrong = after.astype(np.float64) - one.values.astype(np.float64)
        assert np.abs(wrong).max() <= max(0.5, 0.1 * float(np.abs(one.values.astype(int)).max()))


def test_zeros_and_inputs_that_are_always_zero_are_no_trouble() -> None:
    one = weight()
    silent = np.zeros((1, DEPTH, DEPTH))
    assert np.isfinite(decoded(coded(prepared(one, silent), 0.05)).astype(float)).all()
    nothing = Weight(0, "w", np.zeros_like(one.values), one.uses, ("w", 0))
    assert not decoded(coded(prepared(nothing, moments(1, 1)), 0.05)).any()


def test_moments_of_another_depth_are_not_used() -> None:
    assert prepared(weight(), np.eye(5)[None]).kind in (Kind.STEP, Kind.ROWS)


def test_rare_codes_are_dear() -> None:
    low, prices = price_list(np.array([0] * 90 + [1] * 9 + [2], np.int32))
    assert low == -1
    assert list(np.argsort(prices)[:3]) == [1, 2, 3]


def test_codes_that_lie_far_apart_have_no_prices_and_need_no_table() -> None:
    low, prices = price_list(np.array([0, 2**30], np.int32))
    assert (low, list(prices)) == (0, [0.0])


def loud_and_silent(times: float) -> tuple[Weight, NDArray[np.float64]]:
    """Return a weight with a row so much larger than others, and moments of its silent input."""
    values = tiny.noise(64, 64)
    values[5] *= np.float32(times)
    known = np.eye(64)[None].copy()
    known[0, 5, 5] = 0
    text = "main (float[1, 64] x) => (float[1, 64] y) { y = MatMul (x, w) }"
    return weight("w", tiny.model(text, w=values)), known


def test_a_huge_row_is_rounded_to_the_nearest_code() -> None:
    one, known = loud_and_silent(1e4)
    ready = prepared(one, known)
    tensor = coded(ready, 2.0**-6)
    assert np.ptp(tensor.codes) > 2**16
    steps = np.broadcast_to(tensor.factors[0].reshape(-1, 1), one.values.shape)
    wrong = np.abs(decoded(tensor) - one.values)
    assert (wrong <= steps / 2 * 1.01 + 1e-6 * np.abs(one.values)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("times", [1e8, 1e10, 1e15])
def test_codes_too_large_to_be_exact_are_not_made_and_cost_infinitely_much(times: float) -> None:
    ready = prepared(*loud_and_silent(times))
    assert not fits(ready, 2.0**-6)
    assert rate_bits(ready, 2.0**-6) == np.inf


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=60))
def test_entropy_is_that_of_the_shares(values: list[int]) -> None:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    wanted = -float((shares * np.log2(shares)).sum()) * len(values)
    assert entropy_bits(np.array(values, np.int64)) == pytest.approx(wanted, abs=1e-6)


@given(
    st.integers(0, 2**16),
    st.floats(1e-4, 10),
    st.integers(-200, 200),
    st.integers(20, 400),
)
def test_a_weight_that_was_integer_once_is_coded_exactly(
    seed: int, step: float, zero: int, span: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = np.clip(np.rint(rng.standard_normal((64, 80)) * span / 6), -span // 2, span // 2)
    factor, shift = np.float32(step), np.float32(zero)
    values = (codes.astype(np.float32) + shift) * factor - shift * factor
    found = exact_codes(values)
    assert found is not None
    assert decoded(found).tobytes() == values.tobytes()
    assert tensor_bits(found) < 10 * values.size


def test_a_weight_that_never_was_integer_has_no_exact_codes() -> None:
    assert exact_codes(tiny.noise(64, 80)) is None
    assert exact_codes(np.zeros((64, 80), np.float32)) is None
    few = np.float32([1.0, np.pi, np.e])[np.random.default_rng(0).integers(0, 3, (64, 80))]
    assert exact_codes(few) is None
