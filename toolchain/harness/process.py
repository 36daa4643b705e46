"""Runs one request in a fresh process: start-up and memory are then of one application alone."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any

from toolchain.errors import ConfigError, InputError, ToolError, VtoolError
from toolchain.progress import Progress

COMMAND = (sys.executable, "-P", "-m", "toolchain.harness.child")
"""-P: a folder called toolchain where the user happens to be is not ours."""
_GRACE_S = 10  # to a killed process, until the system has buried it
_KINDS: Mapping[int, type[VtoolError]] = {2: ConfigError, 3: InputError}
_MOST_OF_LOG = 500  # characters of what the process said on its error output


def ask(request: Mapping[str, Any], *, timeout_s: float, progress: Progress) -> Any:  # noqa: ANN401 - JSON
    """Return the result of ``request`` (see ``child``).

    Errors:
        ConfigError, InputError, ToolError: what the process reported.
        ToolError: it died, or took longer than ``timeout_s``; names what it was doing.
    """
    with started(COMMAND, request) as child:
        return child.answer("starting", timeout_s=timeout_s, progress=progress)


@dataclass(frozen=True)
class Child:
    """A process that has its request, and may be told more."""

    process: subprocess.Popen[bytes]
    lines: queue.Queue[bytes | None]
    log: IO[bytes]

    def tell(self, request: Mapping[str, Any]) -> None:
        """Send one more request; that nobody reads it any more is seen in its answer."""
        with contextlib.suppress(BrokenPipeError):
            assert self.process.stdin  # noqa: S101 - a pipe was asked for
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def answer(self, doing: str, *, timeout_s: float, progress: Progress) -> Any:  # noqa: ANN401 - JSON
        """Return the next result; ``doing`` is what the process does until it says so itself.

        Errors:
            as of ``ask``
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ToolError(
                    f"the voice application took longer than {timeout_s:.0f} s, it was {doing}",
                    hint="raise timeout_s in the scenario, or find what hangs with `vtool run`",
                ) from None
            if line is None:
                death, words = _death(self.process), _last_words(self.log)
                raise ToolError(
                    f"the voice application {death} while {doing}: {words}",
                    hint="is there memory left? run its models one at a time",
                )
            message = json.loads(line)
            if "result" in message:
                return message["result"]
            if "error" in message:
                raise _revived(message["error"])
            doing = message["doing"]
            progress.update(doing, message.get("done", 0), message.get("total", 0))


@contextlib.contextmanager
def started(
    command: Sequence[str],
    request: Mapping[str, Any],
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Child]:
    """Start a process and send it ``request``; it is gone when the block ends.

    ``environment`` is added to ours.
    """
    created = time.monotonic()  # one clock for all processes of a machine
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | environment,
        )
        try:
            child = Child(process, _lines(process), log)
            # its input is left open: that it closes tells the process of our end
            child.tell({**request, "created": created})
            yield child
        finally:
            process.kill()
            process.wait(timeout=_GRACE_S)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):  # what it did not read is lost
                    if pipe:
                        pipe.close()


def _lines(process: subprocess.Popen[bytes]) -> queue.Queue[bytes | None]:
    """Return a queue that receives the process's lines, and None when there are no more."""
    lines: queue.Queue[bytes | None] = queue.Queue()

    def read() -> None:
        with contextlib.suppress(ValueError):  # closed while we read: nobody waits for more
            for line in process.stdout or ():
                if line.endswith(b"\n"):  # else it was killed while it wrote
                    lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _death(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        return "stopped talking"
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", errors="replace").split("\n")
    said = [line for line in lines if line.strip() and not line.startswith(" ")]
    return said[-1].strip()[:_MOST_OF_LOG] if said else "it said nothing"


def _revived(error: Mapping[str, Any]) -> VtoolError:
    kind = _KINDS.get(error["exit_code"], ToolError)
    return kind(error["message"], hint=error["hint"])
