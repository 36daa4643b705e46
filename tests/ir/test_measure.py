"""Percentiles are observed values; a budget is met, broken or not measured, nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import ConfigError
from toolchain.ir import Budget, Machine, Measure, State

samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50).map(tuple)
percents = st.floats(0, 100)


@given(samples, percents)
def test_a_percentile_is_a_sample_that_so_many_do_not_exceed(
    values: tuple[float, ...], percent: float
) -> None:
    found = Measure("m", "ms", values).percentile(percent)
    assert found in values
    assert sum(v <= found for v in values) >= len(values) * percent / 100 - 1e-9
    smaller = [v for v in values if v < found]
    if smaller:
        assert sum(v <= max(smaller) for v in values) < len(values) * percent / 100 + 1e-9


@given(samples)
def test_the_ends_are_the_least_and_the_greatest(values: tuple[float, ...]) -> None:
    measure = Measure("m", "ms", values)
    assert measure.percentile(100) == max(values)
    assert measure.percentile(0) == min(values)


@given(samples, percents, percents)
def test_a_higher_percentile_is_never_lower(
    values: tuple[float, ...], one: float, other: float
) -> None:
    measure = Measure("m", "ms", values)
    assert measure.percentile(min(one, other)) <= measure.percentile(max(one, other))


@given(samples, percents, st.floats(-1e6, 1e6))
def test_the_verdict_is_the_comparison(
    values: tuple[float, ...], percent: float, limit: float
) -> None:
    measure = Measure("m", "ms", values)
    most = Budget("m", "ms", limit, "why", percentile=percent).judge(measure)
    assert most.ok == (measure.percentile(percent) <= limit)
    assert most.state in {State.MET, State.BROKEN}
    assert most.observed == measure.percentile(percent)


def test_a_limit_that_is_reached_exactly_is_met() -> None:
    measure = Measure("m", "byte", (4e6,))
    assert Budget("m", "byte", 4e6, "why").judge(measure).ok
    assert Budget("m", "byte", 4e6, "why", at_least=True).judge(measure).ok
    assert not Budget("m", "byte", math.nextafter(4e6, 0), "why").judge(measure).ok


def test_a_lower_limit_holds_for_the_worst_samples() -> None:
    quality = Measure("q", "ratio", (0.1, *(0.9,) * 18, 0.99))
    strict = Budget("q", "ratio", 0.5, "why", percentile=100, at_least=True)
    usual = Budget("q", "ratio", 0.5, "why", percentile=90, at_least=True)
    assert strict.judge(quality).observed == 0.1
    assert not strict.judge(quality).ok
    assert usual.judge(quality).ok


@pytest.mark.parametrize("measure", [None, Measure("m", "ms", ())])
def test_what_nobody_measured_is_not_met(measure: Measure | None) -> None:
    verdict = Budget("m", "ms", 1e9, "why").judge(measure)
    assert verdict.state is State.NOT_MEASURED
    assert not verdict.ok
    assert verdict.observed is None


def test_seconds_are_not_judged_as_milliseconds() -> None:
    with pytest.raises(ConfigError, match="is in ms, but it is measured in s"):
        Budget("m", "ms", 500, "why").judge(Measure("m", "s", (0.4,)))


def test_measures_of_two_machines_are_not_compared() -> None:
    here = Machine("cpu", 2, 8, "linux", "3.11")
    there = Machine("cpu", 4, 8, "linux", "3.11")
    measure = Measure("m", "ms", (1.0,), here)
    measure.comparable(Measure("m", "ms", (2.0,), here))
    with pytest.raises(ConfigError, match="another machine"):
        measure.comparable(Measure("m", "ms", (2.0,), there))
    with pytest.raises(ConfigError, match="is in ms"):
        measure.comparable(Measure("m", "s", (2.0,), here))
