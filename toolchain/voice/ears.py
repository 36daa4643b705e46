"""Hears frame by frame, for as long as a session lasts, and watches over the VAD that does it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

from toolchain.errors import ToolError
from toolchain.formats.audio import Samples
from toolchain.voice.clock import Clock
from toolchain.voice.stage import Vad
from toolchain.voice.watching import Event, Guard, Watch


class Ears:
    """One stream of the VAD; after an error it begins anew with the next frame."""

    def __init__(
        self,
        vad: Vad,
        clock: Clock,
        patience_ms: float,
        seen: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Hear with ``vad``; ``seen`` is told of every frame: see ``Watch``."""
        self._vad, self._patience_ms = vad, patience_ms
        self._watch = Watch(clock, "", seen)
        self._frame: Samples | None = None
        self._heard: Iterator[float] | None = None
        self._watched()

    def _watched(self) -> None:
        self._guard = Guard(self._watch, self._patience_ms)
        weakref.finalize(self, self._guard.end)  # whoever forgets us leaves no thread behind

    def hear(self, frame: Samples, where: str) -> Event:
        """Return what the VAD made of ``frame``, (``FRAME_SAMPLES``,): a probability.

        Errors:
            ToolError, or what the VAD says it is: it failed, took longer than the patience, or
                ended; names it and ``where``.
        """
        self._watch.where, self._frame = where, frame
        if self._heard is None:
            self._heard = iter(self._vad.stream(self._frames()))
        event = None
        try:
            with self._guard.guarding():
                event = next(self._watch.pieces("vad", self._heard))
        finally:
            if event is None or event.made is None:
                self._begin_anew()
        if event.made is None:
            raise ToolError(
                f"stage vad gave no probability on {where}",
                hint="run the model of [voice.vad] alone; was it damaged by a pass?",
            )
        return event

    def _frames(self) -> Iterator[Samples]:
        while self._frame is not None:
            yield self._frame

    def _begin_anew(self) -> None:
        self._heard = None
        if self._guard.late:  # it has stopped a model, and would stop every other
            self._watched()

    def close(self) -> None:
        """Hear no more: end the thread that watches."""
        self._guard.end()
        self._frame = None
