"""Messages between a stage's process and ours: over a pipe, their sound through shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from toolchain.formats.audio import Audio

ROOM = 4 * 48_000 * 60
"""Bytes of shared memory each way: a minute of float32 at 48 kHz, more than any utterance (30 s at
16 kHz) or clause. What is longer goes over the pipe."""

Number = tuple[int, int]
"""Of a stream, and of the conversation it belongs to; 0: to none."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """Samples that lie in the shared memory of their direction: how many, and at which rate."""

    count: int
    rate_hz: int  # 0: an utterance, whose rate everybody knows


class Wire:
    """Messages over a pipe; arrays and sound through one block of shared memory each way."""

    def __init__(self, pipe: Connection, out: SharedMemory, into: SharedMemory) -> None:
        self._pipe, self._out, self._into = pipe, out, into

    def send(self, kind: str, value: object = None, work_ms: float = 0.0) -> None:
        """Send a message of some kind; ``work_ms`` is what it took to make."""
        self._pipe.send((kind, self._packed(value), work_ms))

    def receive(self) -> tuple[str, Any, float]:
        """Wait for a message: its kind, its value, and what that took to make, in ms.

        Errors:
            EOFError, OSError: the other side has ended.
        """
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
