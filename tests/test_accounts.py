"""Measures and budgets of packages."""

from __future__ import annotations

from dataclasses import replace

from toolchain import accounts
from toolchain.gate import judge
from toolchain.ir import ModelSearch, State
from toolchain.units import Bytes

_SEARCH = ModelSearch(
    artifact="models/voice.vtm",
    family="tts",
    unit="dB",
    error=0.5,
    agreement=0.9,
    positions=100,
    error_limit=1.0,
    agreement_limit=None,
    before=Bytes(10),
    after=Bytes(5),
    evaluations=3,
    points=(),
    tensors=(),
)


def _states(search: ModelSearch) -> dict[str, State]:
    verdicts = judge(accounts.model_measures([search]), accounts.model_budgets([search]))
    return {v.budget.measure: v.state for v in verdicts}


def test_half_of_an_allowed_error_is_half_of_the_budget() -> None:
    [used, *_] = accounts.model_measures([_SEARCH])
    assert (used.name, used.samples) == ("task.voice.error", (0.5,))
    assert _states(_SEARCH) == {"task.voice.error": State.MET}


def test_an_error_beyond_the_limit_closes_the_gate() -> None:
    assert _states(replace(_SEARCH, error=1.1)) == {"task.voice.error": State.BROKEN}


def test_a_limit_of_nothing_is_a_limit_too() -> None:
    exact = replace(_SEARCH, error=0.0, error_limit=0.0)
    assert _states(exact) == {"task.voice.error": State.MET}
    assert _states(replace(exact, error=1e-9)) == {"task.voice.error": State.BROKEN}


def test_decisions_are_judged_where_the_task_limits_them() -> None:
    strict = replace(_SEARCH, agreement_limit=0.95)
    assert _states(strict)["task.voice.agreement"] is State.BROKEN
