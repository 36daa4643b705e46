"""Error is shared out where it pays most; the border of what holds is found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolchain.quantization.allocation import Curve, allocated, narrowed, shared_out


def curve(count: int) -> Curve:
    """Return the rate of ``count`` numbers: a bit for each octave, none beyond the last."""
    return Curve(lambda multiplier: count * max(0.0, -float(np.log2(multiplier))))


def test_the_sensitive_unit_gets_the_finer_step() -> None:
    curves = {"calm": curve(1000), "touchy": curve(1000)}
    shares = allocated(curves, {"calm": 1.0, "touchy": 100.0}, price=1e6)
    assert shares["touchy"] < shares["calm"]


@given(st.floats(0.01, 100), st.integers(10, 10_000), st.integers(10, 10_000), st.floats(10, 30))
def test_no_other_shares_take_fewer_bits_at_the_same_error(
    ratio: float, first: int, second: int, exponent: float
) -> None:
    curves = {"a": curve(first), "b": curve(second)}
    costs = {"a": 1.0, "b": ratio}

    def bits(shares: dict[str, float]) -> float:
        return sum(curves[n].at(float(np.log2(m))) for n, m in shares.items())

    def harm(shares: dict[str, float]) -> float:
        return sum(costs[n] * m**2 for n, m in shares.items())

    best = allocated(curves, costs, 2.0**exponent)
    for shift in (-1.0, -0.25, 0.25, 1.0):
        other = {"a": best["a"] * 2**shift, "b": best["b"]}
        assert bits(other) >= bits(best) - 1e-6 or harm(other) > harm(best)


def test_a_higher_price_never_coarsens_a_step() -> None:
    curves = {"a": curve(100), "b": curve(900)}
    costs = {"a": 3.0, "b": 0.2}
    steps = [allocated(curves, costs, 2.0**e) for e in range(0, 40, 2)]
    for name in curves:
        sizes = [s[name] for s in steps]
        assert sizes == sorted(sizes, reverse=True)


@given(st.floats(-14, 4), st.floats(-8, 0), st.integers(4, 9))
def test_the_border_is_found_from_below(border: float, start: float, rounds: int) -> None:
    asked: list[float] = []

    def holding(exponents: Sequence[float]) -> list[bool]:
        asked.extend(exponents)
        return [e <= border for e in exponents]

    found = narrowed(holding, start, 1.0, rounds)
    assert len(asked) == 2 * rounds
    held = [e for e in asked if e <= border]
    assert found == max(held, default=None)
    if rounds > 7:
        assert found is not None
        assert border - found < 2.0


def test_luck_above_a_failure_does_not_count() -> None:
    lucky = {0.0: False, 1.0: True}
    found = narrowed(lambda es: [lucky.get(e, e < -1) for e in es], 0.0, 1.0, 4)
    assert found is not None
    assert found < -1


def test_where_nothing_holds_there_is_no_border() -> None:
    assert narrowed(lambda es: [False] * len(es), 0.0, 1.0, 5) is None


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.integers(1, 30))
def test_each_weight_is_in_one_unit_and_units_are_not_too_many(sizes: list[int], most: int) -> None:
    names = [f"w{i}" for i in range(len(sizes))]
    groups = shared_out(names, dict(zip(names, sizes, strict=True)), most)
    assert sorted(n for g in groups for n in g) == sorted(names)
    assert len(groups) <= most
    assert all(groups)


def test_the_largest_weights_stand_alone() -> None:
    sizes = {"a": 1, "b": 900, "c": 2, "d": 800, "e": 3, "f": 4}
    groups = shared_out(list(sizes), sizes, 4)
    assert {("b",), ("d",)} < set(groups)
