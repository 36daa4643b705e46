"""Judging: what opens a gate and what does not."""

from dataclasses import replace

import pytest

from toolchain import rulebook
from toolchain.errors import ConfigError
from toolchain.gate import exit_code, judge
from toolchain.ir import Budget, Measure, State
from toolchain.passes.base import ArtifactPass, Step


def test_a_budget_nobody_measured_keeps_the_gate_closed() -> None:
    verdicts = judge([], [Budget("a", "ms", 5, "why")])
    assert [v.state for v in verdicts] == [State.NOT_MEASURED]
    assert exit_code(verdicts) == 1


def test_a_limit_that_is_reached_exactly_is_met() -> None:
    for measure in (Measure("a", "byte", (5.0,)), Measure("a", "ms", (5.0,) * 5)):
        unit = measure.unit
        assert exit_code(judge([measure], [Budget("a", unit, 5, "why")])) == 0
        assert exit_code(judge([measure], [Budget("a", unit, 5, "why", at_least=True)])) == 0


def test_one_slow_turn_in_ten_breaks_p95_and_not_the_median() -> None:
    measure = Measure("a", "ms", (*[100.0] * 9, 900.0) * 10)
    states = [
        v.state
        for v in judge([measure], [Budget("a", "ms", 500, "w", 95), Budget("a", "ms", 500, "w")])
    ]
    assert states == [State.BROKEN, State.MET]


def test_what_is_not_certain_is_inconclusive_and_what_is_broken_beats_it() -> None:
    unsure = Measure("a", "ms", (100.0,) * 10)
    slow, few = Budget("a", "ms", 50, "why", 95), Budget("a", "ms", 500, "why", 95)
    assert exit_code(judge([unsure], [few])) == 5
    assert exit_code(judge([unsure], [few, slow])) == 1
    assert exit_code(judge([unsure], [few, Budget("a", "ms", 500, "why")])) == 5
    assert exit_code(judge([], [])) == 0


def test_p95_of_a_lower_limit_looks_at_the_worst_samples() -> None:
    measure = Measure("agreement", "ratio", (*[1.0] * 9, 0.2))
    budget = Budget("agreement", "ratio", 0.9, "why", 95, at_least=True)
    assert judge([measure], [budget])[0].observed == 0.2


def test_seconds_are_not_judged_as_milliseconds() -> None:
    with pytest.raises(ConfigError, match="measured in s"):
        judge([Measure("a", "s", (1.0,))], [Budget("a", "ms", 5, "why")])


class _Careless(ArtifactPass):
    """A lossy pass whose proof has no limit of its own, as a third party may write one."""

    lossy = True


def test_a_lossy_pass_whose_proof_has_no_limit_needs_a_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rulebook, "pass_class", lambda _: _Careless)
    step = Step("careless", "smaller at any price, they said")
    with pytest.raises(ConfigError, match="no quality budget"):
        rulebook.require_quality((step,), ())
    rulebook.require_quality(
        (replace(step, budgets=("q",)),), (Budget("q", "ratio", 0.9, "quality"),)
    )
