"""Codes that are kept between points: what is counted is what is kept; what does not fit stays."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tiny_weights as tiny

from toolchain.formats import onnx_model
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.onnx_weights import weights
from toolchain.progress import SILENT
from toolchain.quantization import point, quantizer
from toolchain.quantization.candidate import guard
from toolchain.quantization.point import Trials
from toolchain.quantization.quantizer import Prepared, prepared
from toolchain.tasks.base import make_task


def trials(model: bytes, workers: int) -> Trials:
    found = {w.index: w for w in weights(onnx_model.load(model), 32)}
    asked, _ = guard(model, make_task({"family": "unknown", "limit": 0.1}, {}), found)
    ready = {i: prepared(w, None) for i, w in found.items()}
    units = {w.name: [i] for i, w in found.items()}
    return Trials(asked, ready, units, 0, workers, 9, SILENT)


def test_codes_that_two_threads_make_at_once_are_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = threading.Barrier(2)

    def together(one: Prepared, multiplier: float) -> CodedTensor:
        both.wait(timeout=60)  # so that neither finds what the other made
        return quantizer.coded(one, multiplier)

    monkeypatch.setattr(point, "coded", together)
    made = trials(tiny.gemm(), 2)
    made.try_all([dict.fromkeys(made.units, 0.05)] * 2)
    kept = [c.codes.nbytes for c in made._codes.values() if c is not None]
    assert len(kept) == 2
    assert made._held == sum(kept)


@pytest.mark.filterwarnings("error")
def test_a_weight_whose_codes_do_not_fit_stays_as_it_was() -> None:
    values = tiny.noise(64, 64)
    values[5] *= np.float32(1e12)
    text = "main (float[1, 64] x) => (float[1, 64] y) { y = MatMul (x, w) }"
    made = trials(tiny.model(text, w=values), 1)
    assert made.codes({"w": 2.0**-24}) == {}
    assert made.codes({"w": 2.0**-6}).keys() == {0}
