"""Finds weights, nodes and notes in a model that no output needs.

What it does
    Drops from a copy of each model what no output needs, as the pass ``drop-unused`` does, and
    reports the bytes that this saves.

Why
    Exporters leave behind what their own optimizations made useless, and write where in their
    source code each node came from. All of it is downloaded and parsed.

Advice
    Run ``drop-unused``.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.checks.base import Advice, measured
from toolchain.formats.onnx_savings import Saved, by_dropping
from toolchain.ir import Finding, Graph, Store

_SAYS = Advice(
    "unused-weight",
    "no output needs {bytes} of this model (weights among them: {count})",
    "drop-unused leaves them out",
)


def fix(data: bytes) -> Saved | None:
    """Return what dropping saves."""
    return by_dropping(data)


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each model with something that is not needed."""
    yield from measured(graph, store, fix, _SAYS)
