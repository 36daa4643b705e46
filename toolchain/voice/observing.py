"""Lets somebody watch models while they are opened and run: to time, weigh or profile each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import onnxruntime as ort


class Observer:
    """Does the work that is handed to it, and takes note; this one takes none."""

    def configured(self, chosen: ort.SessionOptions) -> None:
        """Change how the next model is opened: what no application would do, to see more."""

    def opening(self, name: str, work: Callable[[], ort.InferenceSession]) -> ort.InferenceSession:  # noqa: ARG002 - for others
        """Open the project's file ``name``."""
        return work()

    def running(self, session: ort.InferenceSession, work: Callable[[], list[Any]]) -> list[Any]:  # noqa: ARG002 - for others
        """Run an open model once; return its outputs."""
        return work()


_observer: ContextVar[Observer] = ContextVar("observer", default=Observer())  # noqa: B039 - it has no state


@contextmanager
def observed(by: Observer) -> Iterator[None]:
    """Let ``by`` watch what this thread opens and runs inside the block."""
    token = _observer.set(by)
    try:
        yield
    finally:
        _observer.reset(token)


def configured(chosen: ort.SessionOptions) -> None:
    """Let whoever watches change how a model is opened."""
    _observer.get().configured(chosen)


def opened(name: str, work: Callable[[], ort.InferenceSession]) -> ort.InferenceSession:
    """Return what ``work`` opens; somebody may watch."""
    return _observer.get().opening(name, work)


def ran(session: ort.InferenceSession, work: Callable[[], list[Any]]) -> list[Any]:
    """Return the outputs that ``work`` computes with ``session``; somebody may watch."""
    return _observer.get().running(session, work)
