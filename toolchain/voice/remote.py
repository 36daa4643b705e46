"""Stages in worker processes: chunks go over a pipe, their sound through shared memory.

A worker does one thing at a time, when it is asked. It holds streams by number: ``next`` of a
stream computes one thing that comes out of it, and may ask back for a chunk to go in (``want``). So
a stage stays as lazy in another process as it is in this one. ``cancel`` goes over a pipe of its
own and stops the model that runs.
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
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.errors import ConfigError, InputError, ToolError, VtoolError
from toolchain.formats.audio import Audio
from toolchain.voice import pipeline, running
from toolchain.voice.engine import naming, one_heap
from toolchain.voice.pipeline import STAGES, Pipeline
from toolchain.voice.running import Cancellation, Cancelled
from toolchain.voice.stage import Dialogue, Token

_ROOM = 4 * 48_000 * 60
"""Bytes of shared memory each way: a minute of float32 at 48 kHz, more than any utterance (30 s at
16 kHz) or clause. What is longer goes over the pipe."""

_READY_S = 120.0  # a worker has opened its models; the slowest measured takes 2 s
_GRACE_S = 5.0  # a worker that was told to end
_Number = tuple[int, int]
"""Of a stream, and of the conversation it belongs to; 0: to none."""

_KINDS: Mapping[int, type[VtoolError]] = {2: ConfigError, 3: InputError, 4: ToolError}


@dataclass(frozen=True, slots=True)
class _Shared:
    """Samples that lie in the shared memory of their direction: how many, and at which rate."""

    count: int
    rate_hz: int  # 0: an utterance, whose rate everybody knows


class _Wire:
    """Messages over a pipe; arrays and sound through one block of shared memory each way."""

    def __init__(self, pipe: Connection, out: SharedMemory, into: SharedMemory) -> None:
        self._pipe, self._out, self._into = pipe, out, into

    def send(self, kind: str, value: object = None, work_ms: float = 0.0) -> None:
        self._pipe.send((kind, self._packed(value), work_ms))

    def receive(self) -> tuple[str, Any, float]:
        kind, value, work_ms = self._pipe.recv()
        return kind, self._unpacked(value), work_ms

    def _packed(self, value: object) -> object:
        samples = value.samples if isinstance(value, Audio) else value
        if not isinstance(samples, np.ndarray) or samples.nbytes > self._out.size:
            return value
        flat = np.ascontiguousarray(samples, np.float32)
        np.ndarray(flat.shape, np.float32, self._out.buf)[:] = flat
        return _Shared(len(flat), value.rate_hz if isinstance(value, Audio) else 0)

    def _unpacked(self, value: object) -> object:
        if not isinstance(value, _Shared):
            return value
        samples = np.ndarray((value.count,), np.float32, self._into.buf).copy()
        return Audio(samples, value.rate_hz) if value.rate_hz else samples


@dataclass
class Overhead:
    """What it took to ask another process, beyond the work that it did."""

    calls_ms: list[float] = field(default_factory=list)


class Remote:
    """A stage in a process of its own; opened when it is made, ended by ``close``."""

    def __init__(
        self, stage: str, voice: Mapping[str, Any], files: Mapping[str, Path | str]
    ) -> None:
        self.stage, self.overhead = stage, Overhead()
        self._voice = {stage: dict(voice[stage])}
        self._files = {name: str(path) for name, path in files.items()}
        self._lock = threading.Lock()  # one question at a time
        self._streams = itertools.count(1)
        self._dropped: deque[_Number] = deque()
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would share onnxruntime's threads
        here, there = spawn.Pipe()
        self._control, control = spawn.Pipe()
        self._blocks = [SharedMemory(create=True, size=_ROOM) for _ in range(2)]
        names = [block.name for block in self._blocks]
        self._process = spawn.Process(
            target=_serve,
            args=(there, control, names, self.stage, self._voice, self._files),
            daemon=True,
        )
        self._process.start()
        there.close()
        control.close()
        self._pipe = here
        self._wire = _Wire(here, *self._blocks)
        self._ready = False

    @property
    def pid(self) -> int:
        """The process that works."""
        return int(self._process.pid or 0)

    def ready(self) -> None:
        """Wait until the models are open.

        Errors:
            ConfigError, InputError: what opening them raised.
            ToolError: the process died, or takes too long.
        """
        if not self._ready:
            self._answer(_READY_S)
            self._ready = True

    def stream(self, chunks: Iterable[Any], *, talk: int = 0) -> Iterator[Any]:
        """Yield what the stage in the other process makes of ``chunks``, or a ``talk`` of it."""
        number, source, done = (next(self._streams), talk), iter(chunks), False
        try:
            while not done:
                said, made = self._next(number, source)
                done = said == "end"
                if not done:
                    yield made
        finally:
            if not done:  # told at the next question: garbage collection may hold the lock
                self._dropped.append(number)

    def choices(self, question: str, answer: Sequence[int]) -> list[int]:
        """Return the language model's choices; see ``stage.Llm``."""
        with self._lock:
            self._begun()
            self._wire.send("choices", (question, list(answer)))
            return list(self._answer(None)[1])

    def talk(self) -> RemoteTalk:
        """Begin a conversation."""
        return RemoteTalk(self, next(self._streams))

    def keep(self, talk: int) -> None:
        """Let a conversation remember; see ``stage.Dialogue``."""
        with self._lock:
            self._begun()
            self._wire.send("keep", talk)
            self._answer(None)

    def _next(self, number: _Number, source: Iterator[Any]) -> tuple[str, Any]:
        with self._lock, running.told(lambda: self._control.send(number)):
            self._begun()
            start_s = time.perf_counter()
            self._wire.send("next", number)
            said, made, work_ms = self._answer(None)
            while said == "want":
                self._wire.send("chunk", next(source, None))
                said, made, work_ms = self._answer(None)
            self.overhead.calls_ms.append(1000 * (time.perf_counter() - start_s) - work_ms)
            return said, made

    def _begun(self) -> None:
        """See to it that there is a process: one that was killed is started again."""
        if not self._process.is_alive():
            self.close()
            self._start()
            self._dropped.clear()
        self.ready()
        while self._dropped:
            self._wire.send("drop", self._dropped.popleft())
            self._answer(_GRACE_S)

    def _answer(self, timeout_s: float | None) -> tuple[str, Any, float]:
        try:
            if not self._pipe.poll(timeout_s):
                raise ToolError(
                    f"stage {self.stage}: its process does not answer",
                    hint="raise the machine's memory, or place the stages in threads",
                )
            kind, value, work_ms = self._wire.receive()
        except (EOFError, ConnectionError) as error:
            self._process.join(_GRACE_S)
            raise ToolError(
                f"stage {self.stage}: its process ended with {self._process.exitcode}",
                hint="is there memory left? the next turn starts it again",
            ) from error
        if kind == "error":
            raise _KINDS.get(value[0], ToolError)(value[1], hint=value[2])
        if kind == "cancelled":
            raise Cancelled
        return kind, value, work_ms

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._pipe.close()
            self._control.close()
        self._process.join(_GRACE_S if self._ready else 0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_GRACE_S)
        for block in self._blocks:
            block.close()
            with contextlib.suppress(FileNotFoundError):
                block.unlink()


class RemoteTalk:
    """A conversation with a language model in another process."""

    def __init__(self, stage: Remote, number: int) -> None:
        self._stage, self._number = stage, number

    def reply(self, question: str) -> Iterator[Token]:
        """Yield the answer; nothing of it is remembered before it is kept."""
        return self._stage.stream([question], talk=self._number)

    def keep(self) -> None:
        """Remember the last question and what was drawn of its answer."""
        self._stage.keep(self._number)


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


def _serve(  # noqa: PLR0913, PLR0917 - what a process is given when it starts
    pipe: Connection,
    control: Connection,
    names: Sequence[str],
    stage: str,
    voice: Mapping[str, Any],
    files: Mapping[str, str],
) -> None:
    """Be the worker: open the stage, and serve until the pipe is closed."""
    one_heap()
    blocks = [SharedMemory(name) for name in names]
    wire = _Wire(pipe, blocks[1], blocks[0])
    try:
        opened = pipeline.load_stage(voice, stage, {n: Path(p) for n, p in files.items()})
        wire.send("ready")
        _Worker(stage, opened, wire, control).serve()
    except VtoolError as error:
        wire.send("error", _told(error))
    except (EOFError, ConnectionError):
        pass  # the other side has ended
    finally:
        for block in blocks:
            block.close()


def _told(error: VtoolError) -> tuple[int, str, str]:
    return error.exit_code, str(error), error.hint


class _Worker:
    """Does what is asked, one thing at a time."""

    def __init__(self, stage: str, opened: Any, wire: _Wire, control: Connection) -> None:  # noqa: ANN401 - one of four stages
        self._stage, self._opened, self._wire = stage, opened, wire
        self._streams: dict[_Number, Iterator[Any]] = {}
        self._cancellations: dict[_Number, Cancellation] = {}
        self._talks: dict[int, Dialogue] = {}
        self._waited_s = 0.0  # for chunks, in the work that is being done
        threading.Thread(target=self._listen, args=(control,), daemon=True).start()

    def _listen(self, control: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while number := control.recv():
                self._cancellations.setdefault(number, Cancellation()).cancel()

    def serve(self) -> None:
        while True:
            kind, value, _ = self._wire.receive()
            try:
                self._do(kind, value)
            except Cancelled:
                self._wire.send("cancelled")
            except VtoolError as error:
                self._wire.send("error", _told(error))

    def _do(self, kind: str, value: Any) -> None:  # noqa: ANN401 - what the kind takes
        if kind == "next":
            self._next(value)
        elif kind == "keep":
            self._talks[value].keep()
            self._wire.send("kept")
        elif kind == "drop":
            self._drop(value)
        else:
            self._choices(value)

    def _next(self, number: _Number) -> None:
        if number not in self._streams:
            self._streams[number] = iter(self._begun(number[1]))
        cancellation = self._cancellations.setdefault(number, Cancellation())
        start_s, self._waited_s = time.perf_counter(), 0.0
        with cancellation.applied(), naming(self._stage, "the turn"):
            made = next(self._streams[number], None)
        spent_ms = 1000 * (time.perf_counter() - start_s - self._waited_s)
        if made is None:
            self._forget(number)
        self._wire.send("end" if made is None else "item", made, spent_ms)

    def _begun(self, talk: int) -> Iterator[Any]:
        if not talk:
            yield from self._opened.stream(self._chunks())
            return
        dialogue = self._talks.setdefault(talk, self._opened.talk())
        for question in self._chunks():
            yield from dialogue.reply(question)

    def _chunks(self) -> Iterator[Any]:
        while True:
            start_s = time.perf_counter()
            self._wire.send("want")
            _, chunk, _ = self._wire.receive()
            self._waited_s += time.perf_counter() - start_s
            if chunk is None:
                return
            yield chunk

    def _drop(self, number: _Number) -> None:
        self._forget(number)
        self._wire.send("dropped")

    def _forget(self, number: _Number) -> None:
        self._streams.pop(number, None)
        self._cancellations.pop(number, None)

    def _choices(self, asked: tuple[str, list[int]]) -> None:
        with naming(self._stage, "an answer"):
            self._wire.send("chosen", self._opened.choices(*asked))
