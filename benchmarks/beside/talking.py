"""A process that answers one line of JSON with one line of JSON, within a limit of time."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from beside.samples import Way

START_S = 180.0
"""Until a process is ready: float32 weights are read and packed in 5 s on a busy machine. Ours."""
ANSWER_S = 120.0
"""For one answer: 40 tokens took 48 s where seven others wanted the two cores. Ours."""
_GRACE_S = 10.0
_MOST_OF_WORDS = 300


class FailedError(Exception):
    """A process ended, said something else than an answer, or took too long."""


@dataclass(frozen=True)
class Talk:
    """An open process; ``opened`` is its first answer, with ``ready_ms`` since it was created."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str | None]
    log: IO[bytes]
    opened: Mapping[str, Any]

    def ask(self, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return the answer.

        Errors:
            FailedError: there is none; with the last words of the process.
        """
        return _asked(self.process, self.lines, self.log, request, ANSWER_S)

    def peak_bytes(self) -> int | None:
        """Return the most that was ever in memory, pages of mapped files too (Linux's VmHWM).

        None where the system does not say, or the process has ended.
        """
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text("ascii").splitlines() if status.exists() else []
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return int(found[0]) * 1024 if found else None


@contextmanager
def talk(way: Way, folder: Path) -> Iterator[Talk]:
    """Start a process in ``folder`` and tell it the opening; it is gone when the block ends.

    Errors:
        FailedError: it did not become ready.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                way.command,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        except OSError as error:
            raise FailedError(f"{way.command[0]}: {error.strerror}") from error
        try:
            lines = _lines(process)
            opened = _asked(process, lines, log, way.opening, START_S)
            ready_ms = 1000 * (time.perf_counter() - start)
            yield Talk(process, lines, log, {**opened, "ready_ms": ready_ms})
        finally:
            process.kill()
            process.wait(timeout=_GRACE_S)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe  # noqa: S101 - both were asked for
                    pipe.close()


def _asked(
    process: subprocess.Popen[str],
    lines: queue.Queue[str | None],
    log: IO[bytes],
    request: Mapping[str, Any],
    limit_s: float,
) -> Any:  # noqa: ANN401 - JSON
    with contextlib.suppress(BrokenPipeError):  # it died: seen when its lines end
        assert process.stdin  # noqa: S101 - a pipe was asked for
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
    try:
        line = lines.get(timeout=limit_s)
    except queue.Empty:
        raise FailedError(f"gave no answer in {limit_s:.0f} s") from None
    if line is None:
        raise FailedError(last_words(log))
    return json.loads(line)


def _lines(process: subprocess.Popen[str]) -> queue.Queue[str | None]:
    found: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        with contextlib.suppress(ValueError):  # closed while we read
            for line in process.stdout or ():
                found.put(line)
        found.put(None)

    threading.Thread(target=read, daemon=True).start()
    return found


def last_words(log: IO[bytes]) -> str:
    """Return the last line of ``log`` that names an error, else the last that is not indented."""
    log.seek(0)
    lines = log.read().decode("utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip() and not line.startswith(" ")]
    errors = [line for line in said if "Error" in line]
    return (errors or said or ["it said nothing"])[-1][:_MOST_OF_WORDS]
