"""The bounds of a percentile hold as often as they say, for whatever is measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolchain.ir.order_statistics import confidence, interval, needed, ranks

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]

counts = st.integers(1, 400)
percents = st.floats(1, 99)
sures = st.sampled_from([0.9, 0.95, confidence(3), 0.99])

REPEATS = 20_000
# name -> how to draw, and the true percentile as a function of its share
DISTRIBUTIONS: dict[str, tuple[Draw, Callable[[float], float]]] = {
    "uniform": (lambda r, shape: r.uniform(size=shape), lambda p: p),
    "skewed": (lambda r, shape: r.exponential(size=shape), lambda p: -math.log1p(-p)),
    "heavy tail": (lambda r, shape: r.pareto(1.1, size=shape), lambda p: (1 - p) ** (-1 / 1.1) - 1),
    "ties": (lambda r, shape: np.ceil(r.uniform(size=shape) * 10), lambda p: math.ceil(p * 10)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(
    ("count", "percent", "sure"),
    [(59, 95, 0.95), (80, 95, confidence(3)), (200, 95, 0.95), (30, 50, 0.95), (100, 50, 0.9)],
)
def test_each_bound_is_wrong_as_rarely_as_it_says(
    name: str, count: int, percent: float, sure: float
) -> None:
    draw, true = DISTRIBUTIONS[name]
    drawn = np.sort(draw(np.random.default_rng(4), (REPEATS, count)), axis=1)
    low, high = ranks(count, percent, sure)
    assert low is not None
    assert high is not None
    value = true(percent / 100)
    noise = 4 * math.sqrt(sure * (1 - sure) / REPEATS)  # of this simulation: four of its deviations
    assert np.mean(drawn[:, high - 1] >= value - 1e-12) >= sure - noise
    assert np.mean(drawn[:, low - 1] <= value + 1e-12) >= sure - noise


def test_a_bound_is_not_wider_than_its_confidence_asks_for() -> None:
    drawn = np.sort(np.random.default_rng(5).uniform(size=(REPEATS, 2000)), axis=1)
    low, high = ranks(2000, 95, 0.95)
    assert low is not None
    assert high is not None
    assert np.mean(drawn[:, high - 1] >= 0.95) < 0.96
    assert np.mean(drawn[:, low - 1] <= 0.95) < 0.96
    assert np.mean(drawn[:, high - 2] >= 0.95) < 0.95  # the next one would not do


def test_three_looks_together_are_wrong_no_more_often_than_one() -> None:
    looks = (80, 160, 320)
    drawn = np.random.default_rng(6).exponential(size=(REPEATS, looks[-1]))
    true = -math.log1p(-0.95)

    def wrong(sure: float) -> float:
        """Return how often any look says that a limit just below the truth is kept."""
        met = np.zeros(REPEATS, dtype=bool)
        for count in looks:
            high = ranks(count, 95, sure)[1]
            assert high is not None
            met |= np.sort(drawn[:, :count], axis=1)[:, high - 1] < true
        return float(met.mean())

    assert wrong(confidence(3)) <= 0.05
    assert wrong(confidence(1)) > 0.06  # what the shared risk is for


@given(counts, percents, sures)
def test_the_observed_percentile_lies_between_the_bounds(
    count: int, percent: float, sure: float
) -> None:
    low, high = ranks(count, percent, sure)
    nearest = max(1, math.ceil(count * percent / 100 - 1e-9))
    assert (low or 1) <= nearest <= (high or count)


@given(counts, percents, sures)
def test_more_confidence_is_never_narrower(count: int, percent: float, sure: float) -> None:
    low, high = ranks(count, percent, sure)
    wide_low, wide_high = ranks(count, percent, (1 + sure) / 2)
    assert (wide_low or 0) <= (low or 0)
    assert (wide_high or count + 1) >= (high or count + 1)


@given(counts, percents, percents, sures)
def test_a_higher_percentile_has_no_lower_bounds(
    count: int, one: float, other: float, sure: float
) -> None:
    low, high = ranks(count, min(one, other), sure)
    upper_low, upper_high = ranks(count, max(one, other), sure)
    assert (low or 0) <= (upper_low or 0)
    assert (high or count + 1) <= (upper_high or count + 1)


@given(percents, sures)
def test_needed_is_the_least_number_that_gives_both_bounds(percent: float, sure: float) -> None:
    count = needed(percent, sure)
    assert None not in ranks(count, percent, sure)
    assert count == 1 or None in ranks(count - 1, percent, sure)


def test_a_hundred_thousand_samples_do_not_underflow() -> None:
    low, high = ranks(100_000, 95, 0.95)
    assert low is not None
    assert high is not None
    deviation = math.sqrt(100_000 * 0.95 * 0.05)
    assert (high - low) / deviation == pytest.approx(2 * 1.645, rel=0.02)


def test_the_order_of_the_samples_does_not_matter() -> None:
    values = [float(v) for v in range(100)]
    assert interval(values[::-1], 95, 0.95) == interval(values, 95, 0.95)
    found = interval(values, 95, 0.95)
    assert (found.low, found.high, found.samples, found.needed) == (90.0, 98.0, 100, 59)
