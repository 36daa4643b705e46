"""Bounds hold as often as they say, whatever the noise; a shift beyond the tolerance is found."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import ConfigError
from toolchain.harness.machine import lasting
from toolchain.harness.paired import (
    LEAST_ROUNDS,
    Logs,
    Ratio,
    by_round,
    confidence,
    log_ratios,
    looks,
    ratio,
)
from toolchain.ir import Measure, State

Noise = Callable[[np.random.Generator, int], Logs]

# log ratios of nothing changed: the order is random, so they are symmetric, but often wild
NOISES: dict[str, Noise] = {
    "normal": lambda rng, n: rng.normal(0, 0.03, n),
    "without a variance": lambda rng, n: 0.03 * rng.standard_t(2, n),
    "even": lambda rng, n: rng.uniform(-0.05, 0.05, n),
    "a fifth of the rounds is disturbed": lambda rng, n: rng.normal(
        0, np.where(rng.random(n) < 0.2, 0.5, 0.01)
    ),
    "many ties": lambda rng, n: 0.01 * rng.integers(-2, 3, n),
}
_TIMES = 200
_SLACK = 3 * math.sqrt(0.05 * 0.95 / _TIMES)  # three standard errors of a share of 5 %


@pytest.mark.parametrize("rounds", [10, 25])
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_a_bound_is_missed_no_more_often_than_its_risk(noise: Noise, rounds: int) -> None:
    rng = np.random.default_rng(rounds)
    found = [ratio(noise(rng, rounds), 0.95, seed) for seed in range(_TIMES)]
    above = sum(one.low is not None and one.low > 1 for one in found) / _TIMES
    below = sum(one.high is not None and one.high < 1 for one in found) / _TIMES
    assert max(above, below) <= 0.05 + _SLACK


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_nothing_changed_never_alarms_and_ten_percent_are_found(noise: Noise) -> None:
    rng, sure = np.random.default_rng(1), confidence(3)
    for seed in range(40):
        logs = noise(rng, 40)
        assert ratio(logs, sure, seed).judge(0.05) is not State.BROKEN
        if noise is not NOISES["without a variance"]:
            assert ratio(logs + math.log(1.1), sure, seed).judge(0.05) is State.BROKEN


_LOGS = st.lists(st.floats(-0.5, 0.5), min_size=LEAST_ROUNDS, max_size=30)


@settings(deadline=None, max_examples=50)
@given(_LOGS, st.floats(-1, 1))
def test_twice_the_work_is_twice_the_ratio(logs: list[float], more: float) -> None:
    before, after = ratio(logs, 0.95), ratio([log + more for log in logs], 0.95)
    assert after.estimate == pytest.approx(before.estimate * math.exp(more))


@settings(deadline=None, max_examples=50)
@given(_LOGS)
def test_the_estimate_is_within_the_rounds_and_the_bounds_around_it(logs: list[float]) -> None:
    found = ratio(logs, 0.95)
    assert math.exp(min(logs)) * 0.999 <= found.estimate <= math.exp(max(logs)) * 1.001
    assert found.low is None or found.low <= found.estimate * 1.001
    assert found.high is None or found.high >= found.estimate * 0.999
    assert found == ratio(logs, 0.95)


@settings(deadline=None, max_examples=50)
@given(_LOGS, st.floats(-50, 50))
def test_one_wild_round_moves_the_estimate_no_further_than_its_neighbours(
    logs: list[float], wild: float
) -> None:
    found = ratio([*logs, wild], 0.95)
    assert math.exp(min(logs)) * 0.999 <= found.estimate <= math.exp(max(logs)) * 1.001


@given(st.integers(LEAST_ROUNDS, 50), st.integers(0, 500))
def test_looks_double_and_end_at_the_cap(rounds: int, more: int) -> None:
    planned = looks(rounds, rounds + more)
    assert planned[0] == rounds
    assert planned[-1] == rounds + more
    assert all(a < b <= 2 * a for a, b in itertools.pairwise(planned))
    assert confidence(len(planned)) >= 0.95


def test_rounds_that_are_all_alike_leave_no_doubt() -> None:
    assert ratio([0.0] * 8, 0.95) == Ratio(1.0, 1.0, 1.0, 0.95, 8)


def test_too_few_rounds_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        ratio([0.0] * 5, 0.95)


def test_other_clips_other_machines_and_no_time_are_refused() -> None:
    here = lasting()
    one = {"a": Measure("turn.cpu of a", "ms", (2.0, 4.0), here)}
    twice = {"a": replace(one["a"], samples=(4.0, 8.0))}
    assert by_round(log_ratios(one, twice)) == pytest.approx([math.log(2)] * 2)
    with pytest.raises(ConfigError, match="not played the same clips: b"):
        log_ratios(one, {**one, "b": one["a"]})
    elsewhere = {"a": replace(one["a"], machine=replace(here, cpu="another"))}
    with pytest.raises(ConfigError, match="two machines"):
        log_ratios(one, elsewhere)
    with pytest.raises(ConfigError, match="no measurable time"):
        log_ratios(one, {"a": replace(one["a"], samples=(0.0, 1.0))})


def test_a_round_counts_once_however_many_clips_it_has() -> None:
    assert by_round({"a": np.array([0.0, 0.2]), "b": np.array([0.2, 0.0])}) == pytest.approx(
        [0.1, 0.1]
    )
