"""Finds float32 weights whose numbers all fit exactly into two bytes.

What it does
    Stores such weights of a copy of each model as float16 or bfloat16, as the pass
    ``store-fp16-exact`` does, and reports the bytes that this saves.

Why
    A model that was published in half precision and exported in float32 is twice as large for
    nothing.

Advice
    Run ``store-fp16-exact``: the weights are cast while the model loads, and not a bit is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.checks.base import Advice, measured
from toolchain.formats.onnx_savings import Saved, by_halving
from toolchain.ir import Finding, Graph, Store

_SAYS = Advice(
    "half-precision-weights",
    "float32 weights ({count}) hold numbers of two bytes: storing them so saves {bytes}",
    "store-fp16-exact stores them in two bytes, without losing a bit",
)


def fix(data: bytes) -> Saved | None:
    """Return what storing halves saves."""
    return by_halving(data)


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each model with such weights."""
    yield from measured(graph, store, fix, _SAYS)
