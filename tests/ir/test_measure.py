"""Percentiles are observed values; a verdict is what is certain, and says so where nothing is."""

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


def test_a_mirrored_percentile_is_not_one_sample_off() -> None:
    """100 - 95.1 is 4.900000000000006, which is 49 of a thousand samples and not 50."""
    measure = Measure("x", "count", tuple(map(float, range(1, 1_001))))
    assert measure.percentile(100 - 95.1) == 49


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
    measure = Measure("m", "byte", values)
    most = Budget("m", "byte", limit, "why", percentile=percent).judge(measure)
    assert most.ok == (measure.percentile(percent) <= limit)
    assert most.state in {State.MET, State.BROKEN}
    assert most.observed == measure.percentile(percent)
    assert most.interval is None


@given(values=samples, percent=percents, limit=st.floats(-1e6, 1e6), at_least=st.booleans())
def test_of_wall_times_only_what_the_bounds_prove_is_said(
    values: tuple[float, ...], percent: float, limit: float, *, at_least: bool
) -> None:
    measure = Measure("m", "ms", values)
    found = Budget("m", "ms", limit, "why", percent, at_least).judge(measure)
    if not 0 < (100 - percent if at_least else percent) < 100:
        assert found.interval is None
        return
    assert found.interval is not None
    assert found.observed is not None
    low = -math.inf if found.interval.low is None else found.interval.low
    high = math.inf if found.interval.high is None else found.interval.high
    assert low <= found.observed <= high
    if at_least:
        low, high, limit = -high, -low, -limit
    expected = State.MET if high <= limit else State.BROKEN if low > limit else State.INCONCLUSIVE
    assert found.state is expected


def test_the_unit_says_what_is_a_wall_time_and_the_measure_may_know_better() -> None:
    assert Measure("t", "ms", (1.0,)).noisy
    assert Measure("t", "s", (1.0,)).noisy
    assert not any(Measure("t", u, (1.0,)).noisy for u in ("byte", "ratio", "count", "dB"))
    assert Measure("words a second", "count", (1.0,), clocked=True).noisy
    assert not Measure("error of the end of speech", "ms", (1.0,), clocked=False).noisy


def test_a_few_quick_turns_do_not_open_a_gate_and_a_few_slow_ones_close_it() -> None:
    budget = Budget("t", "ms", 500, "why", percentile=95)
    assert budget.judge(Measure("t", "ms", (100.0,) * 58)).state is State.INCONCLUSIVE
    assert budget.judge(Measure("t", "ms", (100.0,) * 59)).state is State.MET
    assert budget.judge(Measure("t", "ms", (501.0,))).state is State.BROKEN
    assert budget.judge(Measure("t", "ms", (*[499.0] * 9, 900.0))).state is State.INCONCLUSIVE


def test_equal_wall_times_are_no_proof_either() -> None:
    assert Budget("t", "ms", 500, "why").judge(Measure("t", "ms", (1.0,) * 4)).state is (
        State.INCONCLUSIVE
    )


def test_the_worst_seen_is_a_fact_about_the_samples() -> None:
    worst = Budget("t", "ms", 500, "why", percentile=100)
    least = Budget("t", "ms", 500, "why", percentile=100, at_least=True)
    measure = Measure("t", "ms", (400.0, 600.0))
    assert worst.judge(measure).state is State.BROKEN
    assert least.judge(measure).observed == 400
    assert least.judge(measure).interval is None


def test_who_may_look_three_times_needs_more_samples_each_time() -> None:
    budget = Budget("t", "ms", 500, "why", percentile=95)

    def met(count: int, looks: int) -> bool:
        return budget.judge(Measure("t", "ms", (100.0,) * count, looks=looks)).ok

    assert met(59, 1)
    assert not met(79, 3)
    assert met(80, 3)
    with pytest.raises(ValueError, match="1 to 3 times, not 4"):
        Measure("t", "ms", (1.0,), looks=4)


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
    with pytest.raises(ConfigError, match="on two machines: cores 2 and 4") as caught:
        measure.comparable(Measure("m", "ms", (2.0,), there))
    assert "--across-machines" in caught.value.hint
    with pytest.raises(ConfigError, match="that of one is not known"):
        measure.comparable(Measure("m", "ms", (2.0,)))
    measure.comparable(Measure("m", "ms", (2.0,), there), across_machines=True)
    with pytest.raises(ConfigError, match="is in ms"):
        measure.comparable(Measure("m", "s", (2.0,), here))
