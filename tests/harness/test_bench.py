"""Comparisons of processes that really work: what is found, refused, and left behind."""

import math
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import application
import psutil
import pytest

from toolchain.errors import ConfigError, ToolError
from toolchain.harness.bench import Comparison, Plan, Side, compare
from toolchain.harness.cpu_time import cpu_ms
from toolchain.harness.neighbours import burn, busy
from toolchain.harness.process import COMMAND, started
from toolchain.harness.scenario import Scenario
from toolchain.harness.self_test import MORE, Rates, SelfTest, Window, known_side
from toolchain.harness.turn import Clip
from toolchain.ir import State
from toolchain.progress import SILENT

QUICK = Plan(rounds=6, most=6, repeats=2, tolerance=0.5)


def mine() -> set[int]:
    return {p.pid for p in psutil.Process().children(recursive=True)}


def gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 5
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(psutil.pid_exists, pids))


def test_three_times_the_work_is_found_and_nothing_is_left_running() -> None:
    before = mine()
    found = compare(known_side(3), known_side(9), QUICK)
    assert found.state is State.BROKEN
    assert 2 < found.cpu.estimate < 4
    assert found.cpu.rounds == 6
    assert [len(one.samples) for one in (*found.baseline, *found.candidate)] == [6] * 4
    assert [one.name for one in found.baseline] == ["turn.cpu of units", "turn.wall of units"]
    assert all(one.machine is not None for one in (*found.baseline, *found.candidate))
    assert gone(mine() - before)


def test_less_work_is_met_and_more_rounds_are_played_only_in_doubt() -> None:
    found = compare(known_side(9), known_side(3), replace(QUICK, most=24))
    assert (found.state, found.cpu.rounds) == (State.MET, 6)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("raise SystemExit(3)", "ended with code 3 while opening candidate"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9 while opening candidate"),
        ("import time; time.sleep(60)", "took longer than 5 s, it was opening candidate"),
    ],
    ids=["ends", "killed", "hangs"],
)
def test_a_side_that_dies_or_hangs_is_one_error_that_names_it(ends: str, words: str) -> None:
    before = mine()
    bad = Side("candidate", (sys.executable, "-c", ends), {}, {"units": {"units": 1}}, 5)
    with pytest.raises(ToolError, match=words) as caught:
        compare(replace(known_side(1), timeout_s=60), bad, QUICK)
    assert caught.value.hint
    assert gone(mine() - before)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"rounds": 5}, "5 rounds"),
        ({"rounds": 20, "most": 10}, "10 at most"),
        ({"tolerance": 0.0}, "tolerance is 0"),
        ({"tolerance": -0.1}, "tolerance is -0.1"),
        ({"tolerance": 5.0}, "tolerance is 5"),
        ({"tolerance": math.nan}, "tolerance is nan"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Plan(**numbers)  # type: ignore[arg-type]  # of both kinds


def test_cpu_time_is_that_of_all_threads_and_children_and_not_of_waiting() -> None:
    with busy(1) as neighbours:
        time.sleep(0.2)
        alone, both = cpu_ms(), cpu_ms(neighbours)
        begun = time.perf_counter()
        while time.perf_counter() - begun < 5 and cpu_ms(neighbours) - both < 100:
            time.sleep(0.05)
        assert cpu_ms(neighbours) - both >= 100  # the neighbour's
        assert cpu_ms() - alone < 90  # ours: we slept
    assert cpu_ms(neighbours) < cpu_ms() + 50  # one that has ended has no clock any more


def interrupt(started: set[int]) -> None:
    assert len(started) == 2
    assert all(map(psutil.pid_exists, started))
    raise KeyboardInterrupt


def end_one_of(started: set[int]) -> None:
    one = min(started)
    os.kill(one, signal.SIGKILL)
    os.waitid(os.P_PID, one, os.WEXITED | os.WNOWAIT)


def test_neighbours_are_gone_afterwards_also_after_an_error() -> None:
    before = mine()
    with pytest.raises(KeyboardInterrupt), busy(2):
        interrupt(mine() - before)
    assert gone(mine() - before)


def test_a_neighbour_that_ends_too_early_is_told() -> None:
    before = mine()
    with pytest.raises(ToolError, match="1 of 2 busy neighbour"), busy(2):
        end_one_of(mine() - before)
    assert gone(mine() - before)


def test_a_neighbour_ends_by_itself_without_its_parent_or_in_the_end() -> None:
    begun = time.monotonic()
    burn(parent=-1)
    burn(parent=os.getppid(), longest_s=0.05)
    assert time.monotonic() - begun < 45


def judged(found: Comparison, more: float, low: float, high: float) -> Window:
    plan = Plan()
    cpu = replace(found.cpu, low=low, high=high)
    return Window(more, replace(found, plan=plan, cpu=cpu, wall=cpu), 1.0)


def test_the_bar_is_no_false_alarm_in_a_hundred_and_all_but_five_found() -> None:
    found = compare(known_side(1), known_side(1), QUICK)
    same, more = judged(found, 0.0, 0.99, 1.01), judged(found, MORE, 1.08, 1.12)
    alarm, missed = judged(found, 0.0, 1.06, 1.2), judged(found, MORE, 1.04, 1.12)

    def state(*windows: Window) -> State:
        return SelfTest(windows, 2, "", found.baseline[0].machine, 1.0).state  # type: ignore[arg-type]  # it has one

    assert state(*[same] * 100, *[more] * 95, *[missed] * 5) is State.MET
    assert state(*[same] * 100, *[more] * 94, *[missed] * 6) is State.BROKEN
    assert state(*[same] * 99, alarm, *[more] * 100) is State.BROKEN
    assert state(*[same] * 99, *[more] * 99) is State.INCONCLUSIVE
    rates = SelfTest((same, missed), 2, "", found.baseline[0].machine, 1.0)  # type: ignore[arg-type]  # it has one
    assert rates.rates("cpu", MORE) == Rates(1, 0, 0, 1, 6, 1.0)


def test_an_application_plays_turns_and_passes_on_request(
    files: dict[str, Path], quick: Scenario
) -> None:
    table = application.voice()
    table["llm"]["max_tokens"] = 4
    clip = Clip("x", str(files["audio/hello_world.wav"]), "", recorded=True, digest="")
    request = {
        "job": "on request",
        "files": {name: str(path) for name, path in files.items()},
        "voice": table,
        "scenario": asdict(quick),
        "clips": [asdict(clip)],
    }
    with started(COMMAND, request) as child:
        child.answer("opening", timeout_s=60, progress=SILENT)
        child.tell({"clip": 0})
        played = child.answer("playing", timeout_s=60, progress=SILENT)
        child.tell({"clip": 7})  # there is none
        with pytest.raises(ToolError, match="ended with code 1 while playing"):
            child.answer("playing", timeout_s=60, progress=SILENT)
    with started(COMMAND, {**request, "job": "passes", "stages": ["vad", "stt"]}) as child:
        child.answer("opening", timeout_s=60, progress=SILENT)
        child.tell({"clip": 0, "passes": 2, "stages": ["vad", "stt"]})
        passed = child.answer("playing", timeout_s=60, progress=SILENT)
    assert 0 < played["facts"]["tokens"] <= 4
    assert played["cpu_ms"] > 0
    assert passed["facts"]["vad"] > 10
    assert "ello" in passed["facts"]["stt"]
