"""A pool of worker processes on this machine that survives the death of any of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Protocol, TypeVar

from toolchain.errors import ToolError, VtoolError
from toolchain.execution.base import Outcome
from toolchain.progress import SILENT, Progress, report_to

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_co = TypeVar("Item_co", covariant=True)

_CLOSING_SECONDS = 5  # a worker that does not leave by itself in this time is killed
_REPORT_SECONDS = 0.25  # how often a worker tells how far it is: faster than that nobody reads


@dataclass(frozen=True, slots=True)
class _News:
    """How far a worker is; what is not an answer yet."""

    what: str
    done: int
    total: int
    unit: str


def available_cores() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Waiting(Protocol[Item_co]):
    """What is to be done: a list, or what makes items when they are asked for."""

    def __len__(self) -> int: ...

    def pop(self) -> Item_co:
        """Take an item away and return it."""
        ...


@dataclass
class _Worker:
    """A process, the pipe to it, and what it works on."""

    process: BaseProcess
    pipe: Connection
    index: int | None = None
    until: float = 0.0


@dataclass(frozen=True)
class LocalPool:
    """Runs items in up to ``workers`` processes, each item at most ``item_seconds`` long.

    Even a single item runs in a worker: it may crash, and it must not take vtool with it.
    """

    workers: int = 0  # 0: one for each core
    preload: tuple[str, ...] = ()  # modules that workers need, imported once
    item_seconds: float = (
        1800.0  # searching a 100 MB model may take several minutes on a busy machine
    )
    progress: Progress = SILENT  # hears what the workers report by ``progress.here()``

    def prepare(self) -> None:
        """Let the server that forks workers start, and import ``preload``, meanwhile."""
        if sys.platform != "win32":
            _context(self.preload)
            forkserver.ensure_running()

    def run(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[Outcome[Result]]:
        """Yield one outcome for every item, as they are done."""
        yield from self.drain(function, list(reversed(items)))

    def drain(
        self, function: Callable[[Item], Result], waiting: Waiting[Item]
    ) -> Iterator[Outcome[Result]]:
        """Yield one outcome for every item of a stack, to which its user may add meanwhile.

        An item's index tells when it was taken: 0 is the first.
        """
        count = self.workers or available_cores()
        taken = 0
        pool: list[_Worker] = []
        start = partial(_start, _context(self.preload), function)
        try:
            while waiting or any(w.index is not None for w in pool):
                while waiting and (worker := _idle(pool, start, count)) is not None:
                    worker.index, taken = taken, taken + 1
                    worker.until = time.monotonic() + self.item_seconds
                    item = waiting.pop()
                    with contextlib.suppress(OSError):  # it died: found by its sentinel below
                        worker.pipe.send(item)
                yield from _collect(pool, self.item_seconds, self.progress)
        finally:
            _close(pool)


def _idle(pool: list[_Worker], start: Callable[[], _Worker], most: int) -> _Worker | None:
    """Return a worker with nothing to do, a new one if need be; None if ``most`` are busy."""
    for worker in pool:
        if worker.index is None:
            return worker
    if len(pool) == most:
        return None
    pool.append(start())
    return pool[-1]


def _context(preload: Sequence[str]) -> Any:  # noqa: ANN401 - a multiprocessing context
    """Return how processes start: forked from a server that has read the large modules once.

    The server runs no thread, so a fork of it is safe, which one of this process is not.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(library, "1")  # workers share the cores already: 7 times less work
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def _start(context: Any, function: Callable[[Any], Any]) -> _Worker:  # noqa: ANN401 - a multiprocessing context
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _collect(pool: list[_Worker], limit: float, progress: Progress) -> Iterator[Outcome[Any]]:
    """Wait for news, yield what arrived, and remove workers that died or took too long."""
    busy = [w for w in pool if w.index is not None]
    patience = max(0.0, min(w.until for w in busy) - time.monotonic())
    ready = set(wait([*(w.pipe for w in busy), *(w.process.sentinel for w in busy)], patience))
    for worker in busy:
        index = worker.index
        if index is None:
            continue
        outcome: Outcome[Any] | None = None
        if worker.pipe in ready:
            outcome = _received(worker, index, progress)
        elif worker.process.sentinel in ready:
            outcome = Outcome(index, error=_died(worker.process))
        overdue = outcome is None and time.monotonic() >= worker.until
        if overdue:  # also one that keeps telling how far it is
            outcome = Outcome(
                index,
                error=ToolError(
                    f"the work took longer than {limit:.0f} s and was stopped",
                    hint="the file may be damaged; leave it out or raise the limit",
                ),
            )
        if outcome is None:
            continue
        if overdue or not worker.process.is_alive():
            pool.remove(worker)
            _close([worker])
        worker.index = None
        yield outcome


def _received(worker: _Worker, index: int, progress: Progress) -> Outcome[Any] | None:
    """Return what the worker answered; None where it only told how far it is."""
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(_CLOSING_SECONDS)
        return Outcome(index, error=_died(worker.process))
    if isinstance(message, _News):
        progress.update(message.what, message.done, message.total, message.unit)
        return None
    value, error = message
    return Outcome(index, value, error)


def _died(process: BaseProcess) -> ToolError:
    process.join(_CLOSING_SECONDS)
    code = process.exitcode
    how = (
        f"signal {signal.Signals(-code).name}"
        if code is not None and code < 0
        else f"exit code {code}"
    )
    return ToolError(
        f"the worker process died ({how})",
        hint="a native library crashed on this file or memory ran out; the file is left as it was",
    )


def _close(pool: list[_Worker]) -> None:
    for worker in pool:
        worker.pipe.close()  # an idle worker reads the end and leaves
        if worker.index is not None or worker.process.is_alive():
            worker.process.terminate()
    for worker in pool:
        worker.process.join(_CLOSING_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join(_CLOSING_SECONDS)


def _leave(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would fall into the removal of files
    raise SystemExit(0)


class _Told:
    """Progress of a worker: told to the parent, now and then."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._last = 0.0

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Send it, unless something was sent just now and more is to come."""
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS or done >= total:
            self._last = now
            self._pipe.send(_News(what, done, total, unit))


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """Run in the worker: items in, outcomes out, until the pipe closes."""
    report_to(_Told(pipe))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGTERM, _leave)  # so that temporary files go
    with contextlib.suppress(EOFError, OSError, BrokenPipeError):
        while True:
            item = pipe.recv()
            answer: tuple[Any, VtoolError | None]
            try:
                answer = (function(item), None)
            except VtoolError as error:
                answer = (None, error)
            except Exception as error:  # noqa: BLE001 - a bug in a pass fails its artifact, with its place
                place = traceback.extract_tb(error.__traceback__)[-1]
                answer = (
                    None,
                    ToolError(
                        f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})",
                        hint="this is a defect of vtool or of the plug-in: please report it",
                    ),
                )
            pipe.send(answer)
