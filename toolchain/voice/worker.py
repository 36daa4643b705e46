"""The process of a stage: opens it, and does one thing at a time, as ``remote`` asks."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

from toolchain.errors import VtoolError
from toolchain.voice import pipeline
from toolchain.voice.engine import naming, one_heap, what_happened
from toolchain.voice.running import Cancellation, Cancelled
from toolchain.voice.stage import Dialogue
from toolchain.voice.wire import Number, Wire


def serve(  # noqa: PLR0913, PLR0917 - what a process is given when it starts
    pipe: Connection,
    control: Connection,
    names: Sequence[str],
    stage: str,
    voice: Mapping[str, Any],
    files: Mapping[str, str],
) -> None:
    """Be the worker: open the stage, and serve until the other side has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the other side, and so us
    one_heap()
    blocks = [SharedMemory(name) for name in names]
    wire = Wire(pipe, blocks[1], blocks[0])
    worker = _Worker(stage, wire, control)
    try:
        with naming(stage, "opening"):
            opened = pipeline.load_stage(voice, stage, {n: Path(p) for n, p in files.items()})
        wire.send("ready")
        worker.serve(opened)
    except VtoolError as error:
        wire.send("error", _told(error))
    except (EOFError, OSError):
        pass  # the other side has ended
    finally:
        for block in blocks:
            block.close()


def _told(error: VtoolError) -> tuple[int, str, str]:
    return error.exit_code, str(error), error.hint


class _Worker:
    """Does what is asked, one thing at a time."""

    def __init__(self, stage: str, wire: Wire, control: Connection) -> None:
        self._stage, self._wire = stage, wire
        self._opened: Any = None  # one of four stages
        self._streams: dict[Number, Iterator[Any]] = {}
        self._cancellations: dict[Number, Cancellation] = {}
        self._talks: dict[int, Dialogue] = {}
        self._waited_s = 0.0  # for chunks, in the work that is being done
        threading.Thread(target=self._listen, args=(control,), daemon=True).start()

    def _listen(self, control: Connection) -> None:
        """Cancel what is to be cancelled; end when the other side has, whatever the model does."""
        with contextlib.suppress(EOFError, OSError):
            while number := control.recv():
                self._cancellations.setdefault(number, Cancellation()).cancel()
        os._exit(0)

    def serve(self, opened: Any) -> None:  # noqa: ANN401 - one of four stages
        self._opened = opened
        while True:
            kind, value, _ = self._wire.receive()
            try:
                self._do(kind, value)
            except Cancelled:
                self._wire.send("cancelled")
            except VtoolError as error:
                self._wire.send("error", _told(error))
            except Exception as error:  # noqa: BLE001 - raised again where it is named
                self._wire.send("failed", what_happened(error))

    def _do(self, kind: str, value: Any) -> None:  # noqa: ANN401 - what the kind takes
        if kind == "next":
            self._next(value)
        elif kind == "keep":
            talk = self._talk(value)
            talk.keep()
            self._wire.send("kept", talk.remembered)
        elif kind == "recall":
            self._talk(value[0]).recall(value[1])
            self._wire.send("recalled")
        elif kind == "drop":
            self._drop(value)
        else:
            self._wire.send("chosen", self._opened.choices(*value))

    def _talk(self, number: int) -> Dialogue:
        if number not in self._talks:
            self._talks[number] = self._opened.talk()
        return self._talks[number]

    def _next(self, number: Number) -> None:
        if number not in self._streams:
            self._streams[number] = iter(self._begun(number[1]))
        cancellation = self._cancellations.setdefault(number, Cancellation())
        start_s, self._waited_s = time.perf_counter(), 0.0
        with cancellation.applied():
            made = next(self._streams[number], None)
        spent_ms = 1000 * (time.perf_counter() - start_s - self._waited_s)
        if made is None:
            self._forget(number)
        self._wire.send("end" if made is None else "item", made, spent_ms)

    def _begun(self, talk: int) -> Iterator[Any]:
        if not talk:
            yield from self._opened.stream(self._chunks())
            return
        for question in self._chunks():
            yield from self._talk(talk).reply(question)

    def _chunks(self) -> Iterator[Any]:
        while True:
            start_s = time.perf_counter()
            self._wire.send("want")
            _, chunk, _ = self._wire.receive()
            self._waited_s += time.perf_counter() - start_s
            if chunk is None:
                return
            yield chunk

    def _drop(self, number: Number) -> None:
        self._forget(number)
        self._wire.send("dropped")

    def _forget(self, number: Number) -> None:
        self._streams.pop(number, None)
        self._cancellations.pop(number, None)
