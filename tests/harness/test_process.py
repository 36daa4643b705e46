"""A process that dies, hangs or is killed is an error that says what it was doing."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import application
import psutil
import pytest

from toolchain.errors import ToolError
from toolchain.harness.process import _lines, ask
from toolchain.harness.scenario import Scenario
from toolchain.harness.turn import Clip
from toolchain.progress import SILENT


def request(files: dict[str, Path], quick: Scenario) -> dict[str, object]:
    return {
        "job": "run",
        "files": {name: str(path) for name, path in files.items()},
        "voice": application.voice(),
        "scenario": asdict(quick),
        "clips": [],
        "audio_out": None,
        "answers": {},
    }


def mine() -> set[int]:
    return {p.pid for p in psutil.Process().children(recursive=True)}


def gone(pids: set[int]) -> bool:
    return not any(psutil.pid_exists(p) for p in pids)


class Killer:
    """Kills the process when it reports that it opens ``stage``."""

    def __init__(self, stage: str, before: set[int]) -> None:
        self.stage, self.before, self.killed = stage, before, set[int]()

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Kill whatever was started since, at the right moment."""
        del done, total, unit
        if self.stage in what:
            self.killed = mine() - self.before
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("stage", ["tts", "stt"])
def test_a_killed_process_is_a_tool_error_that_says_when(
    stage: str, files: dict[str, Path], quick: Scenario
) -> None:
    killer = Killer(f"opening {stage}", mine())
    with pytest.raises(ToolError, match=f"killed by signal 9 while opening {stage}") as caught:
        ask(request(files, quick), timeout_s=60, progress=killer)
    assert len(killer.killed) == 1
    assert caught.value.hint


def test_a_process_that_takes_too_long_is_ended(files: dict[str, Path], quick: Scenario) -> None:
    before = mine()
    start = time.monotonic()
    clip = Clip("x", str(files["audio/counting.wav"]), "", recorded=True, digest="")
    endless = request(files, replace(quick, repeats=10_000)) | {"clips": [asdict(clip)]}
    with pytest.raises(ToolError, match="took longer than 0 s, it was starting"):
        ask(endless, timeout_s=0.05, progress=SILENT)
    assert time.monotonic() - start < 30
    assert gone(mine() - before)


def test_half_a_line_of_a_process_that_was_killed_is_no_answer() -> None:
    command = [sys.executable, "-c", "print('{}'); print('{\"result\": [1', end='')"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        lines = _lines(process)
        assert lines.get(timeout=20).strip() == b"{}"  # type: ignore[union-attr]  # a line
        assert lines.get(timeout=20) is None


def test_a_request_nobody_understands_is_told_with_its_last_words(quick: Scenario) -> None:
    with pytest.raises(
        ToolError, match="ended with code 1 while starting: KeyError: 'no such job'"
    ):
        ask({"job": "no such job", "scenario": asdict(quick)}, timeout_s=60, progress=SILENT)


def test_nothing_is_left_running_or_waiting(files: dict[str, Path], quick: Scenario) -> None:
    before, threads = mine(), threading.active_count()
    result = ask(request(files, quick), timeout_s=60, progress=SILENT)
    assert result["turns"] == []
    assert gone(mine() - before)
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= threads
