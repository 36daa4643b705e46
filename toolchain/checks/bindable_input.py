"""Finds inputs that choose between networks of which an application runs one.

What it does
    Looks for inputs of one number that a model compares with constants, or that are flags. Binds
    each to each of its values in a copy of the model, as the pass ``bind-input`` does, and
    reports what that saves at least, if it is 1 % of the file or more.

Why
    Models are published for every case: Silero VAD holds two networks, for 8 kHz and for 16 kHz.
    An application that always says 16000 ships, loads and keeps the other one too.

Advice
    If the application always feeds the same value, name it in a step ``bind-input``.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.checks.base import Advice, measured
from toolchain.formats.onnx_savings import Saved, by_binding
from toolchain.ir import Finding, Graph, Store

_SAYS = Advice(
    "bindable-input",
    "an input decides which part of the model runs; always the same value saves {bytes} or more",
    "if it never changes, bind it: bind-input",
)


def fix(data: bytes) -> Saved | None:
    """Return what binding saves."""
    return by_binding(data)


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each model with such an input."""
    yield from measured(graph, store, fix, _SAYS)
