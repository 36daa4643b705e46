"""Lets somebody watch the models of a stage while they are opened and run: to time each alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import onnxruntime as ort


class Observer(Protocol):
    """Does the work that is handed to it, and takes note."""

    def opening(self, name: str, work: Callable[[], ort.InferenceSession]) -> ort.InferenceSession:
        """Open the project's file ``name``."""

    def running(self, session: ort.InferenceSession, work: Callable[[], list[Any]]) -> list[Any]:
        """Run an open model once; return its outputs."""


_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


@contextmanager
def observed(by: Observer) -> Iterator[None]:
    """Let ``by`` watch what this thread opens and runs inside the block."""
    token = _observer.set(by)
    try:
        yield
    finally:
        _observer.reset(token)


def opened(name: str, work: Callable[[], ort.InferenceSession]) -> ort.InferenceSession:
    """Return what ``work`` opens; somebody may watch."""
    by = _observer.get()
    return by.opening(name, work) if by else work()


def ran(session: ort.InferenceSession, work: Callable[[], list[Any]]) -> list[Any]:
    """Return the outputs that ``work`` computes with ``session``; somebody may watch."""
    by = _observer.get()
    return by.running(session, work) if by else work()
