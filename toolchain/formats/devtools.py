"""Talks to a Chromium of our own over two pipes: commands, answers and events of its protocol.

Source: https://chromedevtools.github.io/devtools-protocol/; ``--remote-debugging-pipe`` reads
commands from descriptor 3 and writes to 4, each message JSON and a zero byte.
"""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import ToolError

_ABOVE = 10  # descriptors that cannot be 3 or 4
_READ_BYTES = 1 << 20
_STOP_S = 2.0  # ours: it ends in 0.1 s; nothing of its profile is kept
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the browser, or in one of its ``session``s: pages, workers."""

    method: str
    params: Mapping[str, Any]
    session: str


class Devtools:
    """A running browser. Used by one thread; everything ends by ``deadline`` (monotonic)."""

    def __init__(self, commands: int, answers: int, deadline: float) -> None:
        self._commands, self._answers, self.deadline = commands, answers, deadline
        self._buffer = b""
        self._count = 0
        self._results: dict[int, Mapping[str, Any]] = {}
        self._events: deque[Event] = deque()

    def send(self, method: str, session: str = "", **params: object) -> int:
        """Send a command and return its number; its answer may be left unread.

        Errors:
            ToolError: the browser is gone.
        """
        self._count += 1
        message: dict[str, object] = {"id": self._count, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            try:
                data = data[os.write(self._commands, data) :]
            except OSError as error:
                raise _gone() from error
        return self._count

    def call(self, method: str, session: str = "", **params: object) -> Mapping[str, Any]:
        """Send a command and return its result.

        Errors:
            ToolError: the browser is gone, refuses the command, or does not answer in time.
        """
        number = self.send(method, session, **params)
        while number not in self._results:
            if not self._read():
                raise ToolError(f"Chromium did not answer {method} in time")
        answer = self._results.pop(number)
        if "error" in answer:
            raise ToolError(f"Chromium refuses {method}: {answer['error'].get('message')}")
        result: Mapping[str, Any] = answer.get("result", _NOTHING)
        return result

    def events(self, until: float) -> Iterator[Event]:
        """Yield events as they come, until ``until`` or the deadline (monotonic), the earlier."""
        while True:
            while self._events:
                yield self._events.popleft()
            if not self._read(until):
                return

    def _read(self, until: float = float("inf")) -> bool:
        """Read what comes next; False if nothing came in time."""
        left = min(until, self.deadline) - time.monotonic()
        if not select.select([self._answers], [], [], max(0.0, left))[0]:
            return False
        data = os.read(self._answers, _READ_BYTES)
        if not data:
            raise _gone()
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self._results[message["id"]] = message
            else:
                session = message.get("sessionId", "")
                self._events.append(Event(message["method"], message["params"], session))
        return True


def _gone() -> ToolError:
    return ToolError("Chromium ended by itself", hint="the machine may be out of memory")


@contextmanager
def browser(program: Path, flags: Sequence[str], *, limit_s: float) -> Iterator[Devtools]:
    """Run a browser for the length of a ``with`` block, in a profile of its own.

    Errors:
        ToolError: it cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="vtool-page-", ignore_cleanup_errors=True) as profile:
        command = [str(program), "--remote-debugging-pipe", f"--user-data-dir={profile}", *flags]
        ours, theirs = _pipes()
        try:
            process = _spawn(command, theirs, profile)
        except OSError as error:
            for descriptor in (*ours, *theirs):
                os.close(descriptor)
            raise ToolError(f"{program} cannot be started: {error.strerror}") from error
        for descriptor in theirs:
            os.close(descriptor)
        try:
            yield Devtools(*ours, time.monotonic() + limit_s)
        finally:
            for descriptor in ours:
                os.close(descriptor)
            _end(process)


def _pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Return our ends (to write to, to read from) and the browser's (to read from, to write to)."""
    import fcntl  # noqa: PLC0415 - not on Windows, where nothing comes here

    low = [*os.pipe(), *os.pipe()]
    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for one in low]
    for descriptor in low:
        os.close(descriptor)
    theirs_read, ours_write, ours_read, theirs_write = high
    return (ours_write, ours_read), (theirs_read, theirs_write)


def _spawn(command: list[str], pipes: tuple[int, int], home: str) -> int:
    """Start ``command`` in a session of its own with ``pipes`` as descriptors 3 and 4."""
    nowhere = [(os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in range(3)]
    wired = [(os.POSIX_SPAWN_DUP2, one, number) for number, one in enumerate(pipes, 3)]
    environment = {"HOME": home, "PATH": os.environ.get("PATH", os.defpath)}
    return os.posix_spawn(
        command[0], command, environment, file_actions=[*nowhere, *wired], setsid=True
    )


def _end(process: int) -> None:
    """End the browser and all its processes; it has been told by the end of its pipe."""
    until = time.monotonic() + _STOP_S
    while time.monotonic() < until:
        if os.waitpid(process, os.WNOHANG)[0]:
            break
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(process, 0)
