"""Trials: what helps is recommended, what does nothing or harm is not, and the order is random."""

import application
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.harness.examining import Application
from toolchain.harness.scenario import Scenario
from toolchain.harness.ways import Attempt
from toolchain.ir.recommendation import Effect, Tried
from toolchain.profiling import changes, trials

SCENARIO = Scenario(
    silence_ms=256,
    sure_silence_ms=160,
    answer_after_ms=32,
    timeout_s=60,
    repeats=1,
    warm_up=0,
    cold_starts=0,
    warm_starts=1,
)


def attempts(way: str, first_audio_ms: list[float], *, cut_off: bool = False) -> list[Attempt]:
    return [
        Attempt(way, "hello", n, ms, ms / 2, cut_off, "Hello.")
        for n, ms in enumerate(first_audio_ms)
    ]


def outcome(before: list[float], after: list[float], *, cut_off: bool = False) -> Tried:
    found = trials.turn_effects(
        [*attempts(trials.AS_IT_IS, before), *attempts("other", after, cut_off=cut_off)], 0.99
    )
    return trials.judged(Tried("other", "how", tuple(found["other"])))


def test_a_change_without_an_effect_yields_nothing() -> None:
    one = outcome([400.0 + n for n in range(20)], [400.0 + n for n in range(20)])
    assert one.why_not == "nothing became better for certain"
    assert trials.recommended([one]) == ()


def test_a_change_that_slows_down_yields_nothing() -> None:
    one = outcome([400.0] * 20, [440.0] * 20)
    assert one.why_not == "worse: turn.first_audio"
    assert trials.recommended([one]) == ()


def test_a_change_that_helps_is_recommended_with_what_was_measured() -> None:
    [one] = trials.recommended([outcome([400.0] * 20, [360.0 + n for n in range(20)])])
    assert one.gains[0].measure == "turn.first_audio"
    assert one.gains[0].from_value == 400
    assert one.gains[0].change == -30.5


def test_a_change_that_cuts_people_off_yields_nothing_however_fast() -> None:
    one = outcome([400.0] * 20, [100.0] * 20, cut_off=True)
    assert one.why_not == "worse: turn.cut_off"
    assert trials.recommended([one]) == ()


def test_a_change_may_cost_processor_time_but_says_so() -> None:
    audio = Effect.measured("turn.first_audio", "ms", [(400.0, 300.0)] * 20, 0.99)
    cpu = Effect.measured(trials.CPU, "ms", [(100.0, 150.0)] * 20, 0.99)
    memory = Effect.measured("memory.peak", "byte", [(1e8, 2e8)] * 20, 0.99)
    [one] = trials.recommended([trials.judged(Tried("x", "how", (audio, cpu)))])
    assert one.costs == (cpu,)
    assert trials.judged(Tried("x", "how", (audio, memory))).why_not == "worse: memory.peak"


def test_too_few_pairs_say_what_to_do() -> None:
    one = outcome([400.0] * 3, [100.0] * 3)
    assert "--trials-seconds" in one.why_not


@given(st.lists(st.floats(100, 900), min_size=1, max_size=25), st.randoms())
def test_pairs_are_found_in_whatever_order_turns_were_played(
    values: list[float], rng: object
) -> None:
    both = [
        *attempts(trials.AS_IT_IS, values),
        *attempts("other", [value + 50 for value in values]),
    ]
    rng.shuffle(both)  # type: ignore[attr-defined]  # random.Random
    [audio, _] = trials.turn_effects(both, 0.95)["other"]
    assert all(b - a == pytest.approx(50) for a, b in zip(audio.before, audio.after, strict=True))


def test_each_change_differs_in_one_thing_and_says_how_to_apply_it() -> None:
    one = Application({}, application.voice())
    found = list(changes.changes(one, SCENARIO))
    assert len({c.what for c in found}) == len(found) >= 4
    for change in found:
        other_numbers = change.scenario != SCENARIO
        other_voice = change.application.voice != one.voice
        assert other_numbers != other_voice
        assert change.how.startswith("in ")
