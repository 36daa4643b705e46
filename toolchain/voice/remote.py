"""Stages in worker processes: chunks go over a pipe, their sound through shared memory.

A worker does one thing at a time, when it is asked. It holds streams by number: ``next`` of a
stream computes one thing that comes out of it, and may ask back for a chunk to go in (``want``). So
a stage stays as lazy in another process as it is in this one. ``cancel`` goes over a pipe of its
own and stops the model that runs.

Faults
    A process that is killed, or that goes on for ``_STOPS_S`` after it was told to stop, ends what
    it was asked with an error. It is started again for the next question, by whoever asks it.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

from toolchain.errors import ConfigError, InputError, ToolError, VtoolError
from toolchain.voice import running, worker
from toolchain.voice.pipeline import STAGES, Pipeline
from toolchain.voice.running import Cancelled
from toolchain.voice.stage import Token
from toolchain.voice.wire import ROOM, Number, Wire

_READY_S = 120.0  # a worker has opened its models; the slowest measured takes 2 s
_GRACE_S = 5.0  # a worker that was told to end
_STOPS_S = 2.0  # ours: a model that was told to stop does in 10 ms; what takes so long hangs
_CLOSES_S = 1.0  # an idle worker ends in 10 ms when its pipe is closed
_LOOK_S = 0.25  # while a worker works: is it told to stop, and does not?
_KINDS: Mapping[int, type[VtoolError]] = {2: ConfigError, 3: InputError, 4: ToolError}


@dataclass
class Overhead:
    """What it took to ask another process, beyond the work that it did."""

    calls_ms: list[float] = field(default_factory=list)


@dataclass(eq=False)
class _Stream:
    """Something that is being made: out of what, and in which life of the process it began."""

    number: Number
    source: Iterator[Any]
    talk: RemoteTalk | None
    life: int | None = None


class Remote:
    """A stage in a process of its own; opened when it is made, ended by ``close``."""

    def __init__(
        self, stage: str, voice: Mapping[str, Any], files: Mapping[str, Path | str]
    ) -> None:
        self.stage, self.overhead = stage, Overhead()
        self._voice = {stage: dict(voice[stage])}
        self._files = {name: str(path) for name, path in files.items()}
        self._lock = threading.Lock()  # one question at a time
        self._numbers = itertools.count(1)
        self._dropped: deque[Number] = deque()
        self._told_s: float | None = None  # when what is being made was told to stop
        self._life, self._closed = 0, False
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would share onnxruntime's threads
        here, there = spawn.Pipe()
        self._control, control = spawn.Pipe()
        self._blocks = [SharedMemory(create=True, size=ROOM) for _ in range(2)]
        names = [block.name for block in self._blocks]
        self._process = spawn.Process(
            target=worker.serve,
            args=(there, control, names, self.stage, self._voice, self._files),
            daemon=True,
        )
        self._process.start()
        there.close()
        control.close()
        self._pipe = here
        self._wire = Wire(here, *self._blocks)
        self._ready = False
        self._life += 1

    @property
    def pid(self) -> int:
        """The process that works."""
        return int(self._process.pid or 0)

    def ready(self) -> None:
        """Wait until the models are open.

        Errors:
            ConfigError, InputError, ToolError: what opening them raised.
            ToolError: the process died, or takes too long.
        """
        if self._ready:
            return
        try:
            if not self._pipe.poll(_READY_S):
                self._process.kill()
                raise ToolError(
                    f"stage {self.stage}: its process does not answer",
                    hint="raise the machine's memory, or place the stages in threads",
                )
            self._said()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        self._ready = True

    def stream(self, chunks: Iterable[Any], *, talk: RemoteTalk | None = None) -> Iterator[Any]:
        """Yield what the stage in the other process makes of ``chunks``, or a ``talk`` of it.

        Errors:
            ToolError: the process died, also before what it had begun was made.
            whatever the stage raises; the harness names it
        """
        number = next(self._numbers), talk.number if talk else 0
        stream, done = _Stream(number, iter(chunks), talk), False
        try:
            while not done:
                said, made = self._next(stream)
                done = said == "end"
                if not done:
                    yield made
        finally:
            if not done and stream.life == self._life:
                self._dropped.append(number)  # told at the next question: the lock may be held

    def choices(self, question: str, answer: Sequence[int]) -> list[int]:
        """Return the language model's choices; see ``stage.Llm``."""
        with self._asking():
            self._begin()
            return list(self._ask("choices", (question, list(answer)))[1])

    def talk(self) -> RemoteTalk:
        """Begin a conversation."""
        return RemoteTalk(self, next(self._numbers))

    def keep(self, talk: RemoteTalk) -> None:
        """Let a conversation remember; see ``stage.Dialogue``.

        Where the process has died since it answered, the answer is not remembered.
        """
        with self._asking():
            self._begin()
            if talk.life == self._life:
                talk.kept = self._ask("keep", talk.number)[1]

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        with self._lock:
            self._told_s = None
            yield

    def _next(self, stream: _Stream) -> tuple[str, Any]:
        with self._asking(), running.told(lambda: self._stop(stream.number)):
            self._begin(stream)
            start_s = time.perf_counter()
            said, made, work_ms = self._ask("next", stream.number)
            while said == "want":
                said, made, work_ms = self._ask("chunk", self._drawn(stream.source))
            self.overhead.calls_ms.append(1000 * (time.perf_counter() - start_s) - work_ms)
            return said, made

    def _stop(self, number: Number) -> None:
        self._told_s = time.monotonic()
        with contextlib.suppress(OSError):  # the process has died, or was closed
            self._control.send(number)

    def _drawn(self, source: Iterator[Any]) -> Any:  # noqa: ANN401 - a chunk
        try:
            return next(source, None)
        except BaseException:
            self._process.kill()  # it waits for a chunk, and would take the next question for it
            raise

    def _begin(self, stream: _Stream | None = None) -> None:
        """See to it that there is a process that knows what is asked for.

        One that was killed is started again; what it had begun is lost.
        """
        if self._closed:
            raise ToolError(f"stage {self.stage} was closed", hint="open the application again")
        if stream and stream.life == self._life and not self._process.is_alive():
            raise self._ended()
        if not self._tidied():
            self._end()
            self._dropped.clear()
            self._start()
            self.ready()
        if stream is None:
            return
        if stream.life not in {None, self._life}:
            raise self._ended()
        stream.life = self._life
        if stream.talk and stream.talk.life != self._life:
            if stream.talk.kept:
                self._ask("recall", (stream.talk.number, stream.talk.kept))
            stream.talk.life = self._life

    def _tidied(self) -> bool:
        """Drop the streams that nobody reads any more; return whether the process is there."""
        if not self._process.is_alive():
            return False
        self.ready()
        try:
            while self._dropped:
                self._ask("drop", self._dropped.popleft())
        except ToolError:
            return False
        return True

    def _ask(self, kind: str, value: object) -> tuple[str, Any, float]:
        try:
            self._wire.send(kind, value)
            while not self._pipe.poll(_LOOK_S):
                if self._told_s and time.monotonic() - self._told_s > _STOPS_S:
                    self._process.kill()
            return self._said()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def _said(self) -> tuple[str, Any, float]:
        kind, value, work_ms = self._wire.receive()
        if kind == "error":
            raise _KINDS.get(value[0], ToolError)(value[1], hint=value[2])
        if kind == "failed":
            raise RuntimeError(value)
        if kind == "cancelled":
            raise Cancelled
        return kind, value, work_ms

    def _ended(self) -> ToolError:
        self._process.join(_GRACE_S)
        return ToolError(
            f"stage {self.stage}: its process ended with {self._process.exitcode}",
            hint="is there memory left? the next turn starts it again",
        )

    def close(self) -> None:
        """End the process; nothing can be asked any more."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.close()
        with contextlib.suppress(OSError):
            self._control.close()  # at that it ends, whatever its model does
        self._process.join(_CLOSES_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_GRACE_S)
        for block in self._blocks:
            block.close()
            with contextlib.suppress(FileNotFoundError):
                block.unlink()


class RemoteTalk:
    """A conversation with a language model in another process; it outlives the process."""

    def __init__(self, stage: Remote, number: int) -> None:
        self.number = number
        self.kept: tuple[tuple[int, ...], ...] = ()  # what another process has to be told
        self.life: int | None = None  # of the process that knows it
        self._stage = stage

    def reply(self, question: str) -> Iterator[Token]:
        """Yield the answer; nothing of it is remembered before it is kept."""
        return self._stage.stream([question], talk=self)

    def keep(self) -> None:
        """Remember the last question and what was drawn of its answer."""
        self._stage.keep(self)

    @property
    def remembered(self) -> tuple[tuple[int, ...], ...]:
        """The tokens of each exchange that was kept and not yet forgotten."""
        return self.kept

    def recall(self, exchanges: Sequence[Sequence[int]]) -> None:
        """Go on from the exchanges that another conversation remembered."""
        self.kept, self.life = tuple(map(tuple, exchanges)), None


def load(voice: Mapping[str, Any], files: Mapping[str, Path]) -> Pipeline:
    """Open the four stages at the same time, each in a process of its own.

    Errors:
        ConfigError, InputError: see the adapters.
        ToolError: a process died.
    """
    opened: dict[str, Remote] = {}
    try:
        for stage in STAGES:
            opened[stage] = Remote(stage, voice, files)
        for one in opened.values():
            one.ready()
    except BaseException:
        close(opened.values())
        raise
    return Pipeline(**opened)


def close(stages: Iterable[object]) -> None:
    """End the processes of those ``stages`` that have one."""
    for stage in stages:
        if isinstance(stage, Remote):
            stage.close()
