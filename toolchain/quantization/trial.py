"""Tries one model in one runtime, in a process of its own, within a time and a memory limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil

from toolchain.errors import ToolError, UnusableError
from toolchain.formats import onnxruntime_trial

NATIVE = (sys.executable, "-P", "-m", onnxruntime_trial.__name__)
"""-P: a folder called toolchain where the user happens to be is not ours."""
WEB = (
    "--no-warnings",
    "--no-liftoff",
    "--wasm-lazy-compilation",
    str(Path(onnxruntime_trial.__file__).with_name("onnxruntime_web.mjs")),
)
"""What comes after ``node``; the flags are explained in the script."""

_LOOK_SECONDS = 0.05  # ours: how often memory is looked at; a runaway model takes 0.1 GB in it
_PATIENCE = 5  # ours: a process that gets less than a fifth of a core for minutes waits for itself
_GRACE_SECONDS = 10.0  # to a killed process, until the system has buried it
_MOST_OF_LOG = 300  # characters


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may take before it is ended; on the clock, ``_PATIENCE`` times that."""

    seconds: float  # of CPU time: what else the machine does is no fault of the model
    memory_bytes: int


def ask(command: Sequence[str], request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Return the answer of ``command`` to ``request`` (see ``formats/onnxruntime_trial.py``).

    Errors:
        UnusableError: the runtime refuses the model, crashes (also after it has answered), or
            exceeds a limit: a finding about the model on that target.
        ToolError: the process cannot be started.
    """
    with TemporaryFile() as answer, TemporaryFile() as log, TemporaryFile() as question:
        question.write(json.dumps(request).encode())
        question.seek(0)
        try:
            process = subprocess.Popen(
                command, stdin=question, stdout=answer, stderr=log, env=_environment()
            )
        except OSError as error:
            raise ToolError(f"{Path(command[0]).name} cannot be started: {error}") from error
        broken = _watched(process, limits)
        answer.seek(0)
        printed = answer.read().decode("utf-8", errors="replace")
        log.seek(0)
        said = " ".join((printed + "\n" + log.read().decode("utf-8", errors="replace")).split())
    found = None if broken or process.returncode else _last_answer(printed)
    if found is None:
        found = {"error": broken or f"it {_end(process.returncode)}: {said[-_MOST_OF_LOG:]}"}
    if "error" in found:
        raise UnusableError(
            f"the model does not run: {found['error']}",
            hint="the runtime may lack an operator or a format; choose another one",
        )
    return found


def _last_answer(printed: str) -> dict[str, Any] | None:
    """Return the last line where it is an answer: not a warning, and not half of one."""
    try:
        found = json.loads(printed.strip().split("\n")[-1])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _watched(process: subprocess.Popen[bytes], limits: Limits) -> str:
    """Wait for the end; return which limit was exceeded, or nothing."""
    until = time.monotonic() + _PATIENCE * limits.seconds
    try:
        while True:
            try:
                process.wait(timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                taken = _taken(process.pid)
                if taken.seconds > limits.seconds or time.monotonic() > until:
                    return f"it takes longer than {limits.seconds:g} s"
                if taken.memory_bytes > limits.memory_bytes:
                    return f"it takes more than {limits.memory_bytes / 1e6:.0f} MB"
            else:
                return ""
    finally:
        process.kill()
        process.wait(timeout=_GRACE_SECONDS)


def _taken(pid: int) -> Limits:
    """Return the CPU time and the memory a process has taken."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return Limits(times.user + times.system, int(process.memory_info().rss))
    except psutil.Error:  # it has just ended
        return Limits(0.0, 0)


def _end(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
