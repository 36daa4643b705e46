"""Users at once: schedules that nobody's answer can move, and the most that a machine carries."""

import itertools
import math
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.formats.audio import read_wav
from toolchain.harness import sessions
from toolchain.harness.conversation import Line
from toolchain.harness.scenario import Sessions
from toolchain.harness.sessions import Step, carried, most, schedule, together
from toolchain.voice.pipeline import Pipeline

ASKED = Sessions(
    silence_ms=256,
    sure_silence_ms=160,
    answer_after_ms=32,
    timeout_s=120,
    most_sessions=16,
    turns=2,
    every_ms=2_000,
    seed=7,
    limit_ms=500,
)
LINES = [Line(name, np.zeros(512, np.float32)) for name in "abc"]


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 99))
def test_a_schedule_is_fixed_by_its_seed_and_the_same_for_those_who_were_there(
    users: int, turns: int, seed: int
) -> None:
    asked = replace(ASKED, turns=turns, seed=seed)
    found = schedule(asked, LINES, users)
    assert found == schedule(asked, LINES, users)
    assert found[:-1] == schedule(asked, LINES, users - 1), "one more user changes no other"
    for questions in found:
        times = [q.at_ms for q in questions]
        assert 0 <= times[0] <= asked.every_ms
        for a, b in itertools.pairwise(times):
            assert 0.75 * asked.every_ms <= b - a <= 1.25 * asked.every_ms


@pytest.mark.alone
def test_two_users_at_once_are_both_answered_in_real_time(
    opened: Pipeline, files: dict[str, Path]
) -> None:
    line = Line("hello", read_wav(files["audio/hello_world.wav"].read_bytes()).samples)
    before = threading.active_count()
    for _ in range(3):  # a machine that did something else for a second has another chance
        step = together(opened, schedule(ASKED, [line], 2), ASKED)
        if not step.unanswered and max(step.first_audio_ms) < 2_000:
            break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before, "what goes on would slow the next step down"
    assert step.sessions == 2
    assert step.errors == ()
    assert len(step.first_audio_ms) + step.unanswered == 4
    assert step.unanswered == 0
    assert all(100 < ms < 2_000 for ms in step.first_audio_ms)
    assert all(ms >= 0 for ms in step.late_ms)


def test_a_question_without_an_answer_is_later_than_any() -> None:
    step = Step(1, (100.0,) * 18, 2, (), ())
    assert step.p95_ms == math.inf
    assert Step(1, (100.0,) * 19, 1, (), ()).p95_ms == 100.0
    assert most([step], 500) == 0


@given(st.integers(0, 20))
def test_the_most_users_are_found_by_doubling_and_halving(limit: int) -> None:
    tried = []

    def at_once(_: object, users: list[object], __: object) -> Step:
        tried.append(len(users))
        return Step(len(users), (400.0 if len(users) <= limit else 600.0,), 0, (), ())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sessions, "together", at_once)
        steps = carried(None, LINES, ASKED, lambda _: None)  # type: ignore[arg-type]  # not asked
    assert most(steps, ASKED.limit_ms) == min(limit, ASKED.most_sessions)
    assert len(tried) == len(set(tried)), "no number of users is tried twice"
    assert len(tried) <= 9
