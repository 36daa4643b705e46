"""Watches over the work of stages: times every piece, names who fails, stops what is too slow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from toolchain.errors import ToolError, VtoolError
from toolchain.formats.audio import Audio
from toolchain.voice.clock import Clock
from toolchain.voice.engine import about, naming
from toolchain.voice.running import Cancellation, Cancelled
from toolchain.voice.stage import Token


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood."""

    text: str


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of the answer that is spoken at once."""

    text: str


Made = float | Transcript | Token | Clause | Audio | None
"""What a stage's work gives (the VAD a probability); None: it found that there is no more."""


@dataclass(frozen=True, slots=True)
class Event:
    """A piece of work: whose, from when until when (ms on the clock), and what it gave."""

    stage: str
    start_ms: float
    end_ms: float
    made: Made

    @property
    def ms(self) -> float:
        """How long it took."""
        return self.end_ms - self.start_ms


@dataclass
class Watch:
    """Times every piece of work, and names the stage in whose work something goes wrong."""

    clock: Clock
    where: str
    seen: Callable[[Event], None] = lambda _event: None
    """Told of every piece when it ends, also of one that was stopped, in the thread that did it."""
    working: dict[str, float] = field(default_factory=dict)
    """Since when each stage works on a piece."""

    def pieces(self, stage: str, made: Iterator[Any]) -> Iterator[Event]:
        """Yield what ``made`` yields, timed; then that there is no more.

        Errors:
            ToolError, or what the stage says it is: it failed; names it and where.
        """
        more = True
        while more:
            start_ms = self.clock.now_ms()
            self.working[stage], value = start_ms, None
            try:
                with naming(stage, self.where):
                    value = next(made, None)
            except VtoolError as error:
                raise about(stage, self.where, error) from error
            finally:
                self.working.pop(stage, None)
                event = Event(stage, start_ms, self.clock.now_ms(), value)
                self.seen(event)
            yield event
            more = value is not None

    def unfinished_ms(self) -> float:
        """Return how long the stages have worked on pieces that are not there yet."""
        now_ms = self.clock.now_ms()
        return sum(now_ms - since_ms for since_ms in list(self.working.values()))

    def late(self, patience_ms: float) -> str | None:
        """Return the stage that works on a piece for longer than ``patience_ms``."""
        now_ms = self.clock.now_ms()
        for stage, since_ms in list(self.working.items()):
            if now_ms - since_ms > patience_ms:
                return stage
        return None


class Guard:
    """Stops the model that takes too long, from a thread that does nothing else."""

    def __init__(self, watch: Watch, patience_ms: float) -> None:
        self.cancellation, self.late = Cancellation(), ""
        self._watch, self._patience_ms = watch, patience_ms
        self._done = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._done.wait(self._patience_ms / 1000 / _LOOKS):
            if late := self._watch.late(self._patience_ms):
                self.late = late
                self.cancellation.cancel()
                return

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Watch over the models that run in the block.

        Errors:
            ToolError: one took longer than the patience.
        """
        try:
            with self.cancellation.applied():
                yield
        except Cancelled:
            raise hung(self.late, self._watch.where, self._patience_ms) from None

    def end(self) -> None:
        """End the thread."""
        self._done.set()


_LOOKS = 4  # a patience: what hangs is found at most a quarter late


def hung(stage: str, where: str, patience_ms: float) -> ToolError:
    """Return the error that a stage took too long."""
    return ToolError(
        f"stage {stage} took longer than {patience_ms / 1000:.0f} s on {where}, and was stopped",
        hint=f"run the model of [voice.{stage}] alone; was it damaged by a pass?",
    )
