"""What a search makes of units that are sensitive, and of those whose error alone is no number."""

from __future__ import annotations

import math
import time

import numpy as np
import tiny_weights as tiny

from toolchain.formats import onnx_model
from toolchain.formats.onnx_weights import weights
from toolchain.progress import SILENT
from toolchain.quantization.candidate import guard
from toolchain.quantization.descent import Descent
from toolchain.quantization.point import Trials, Tried
from toolchain.quantization.quantizer import prepared
from toolchain.tasks.base import Limit, make_task

LIMIT = Limit(error=0.1)
FINEST = 2.0**-12  # of a step: what a price without bounds buys


def sized_by_a_weight() -> bytes:
    """Return a model whose answers get another shape where the sum of ``v`` leaves 20 to 21."""
    rare = tiny.noise(64, seed=8) * np.float32(2)
    rare += np.float32(20.7 - rare.sum()) / np.float32(rare.size)
    return tiny.model(
        """main (float[n, 48] x) => (float[n, k] y)
        <int64[1] zero = {0}, int64[1] one = {1}> {
            a = MatMul (x, u) r = Relu (a) h = MatMul (r, w)
            s = ReduceSum <keepdims = 1> (v)
            c = Cast <to = 7> (s)
            y = Slice (h, zero, c, one)
        }""",
        u=tiny.noise(48, 48, seed=1),
        w=tiny.noise(48, 48, seed=2),
        v=rare,
    )


def trials(model: bytes) -> Trials:
    found = {w.index: w for w in weights(onnx_model.load(model), 32)}
    task = make_task({"family": "unknown", "limit": LIMIT.error}, {})
    asked, _ = guard(model, task, found)
    ready = {i: prepared(w, None) for i, w in found.items()}
    return Trials(asked, ready, {w.name: [i] for i, w in found.items()}, 0, 1, 99, SILENT)


def alone(tried: list[Tried], unit: str) -> float:
    """Return the error of the point at which only ``unit`` was changed."""
    only = (t for t in tried if {n for n, m in t.multipliers.items() if m} == {unit})
    return next(only).score.error


def test_one_unit_that_breaks_the_model_alone_does_not_make_all_others_fine() -> None:
    made = trials(sized_by_a_weight())
    best = Descent(made, LIMIT, time.monotonic() + 60).run(1)
    assert math.isinf(alone(made.tried, "v"))
    assert math.isfinite(alone(made.tried, "u"))
    assert not any(m == FINEST for t in made.tried for m in t.multipliers.values())
    assert best is not None
    assert best.multipliers["v"] < min(best.multipliers["u"], best.multipliers["w"])
