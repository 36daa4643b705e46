"""Ways to write a weight in few bits, beside the one that the search uses, at the same error.

    nox -s quantizers                     every model of models.toml with float32 weights
    nox -s quantizers -- --model akiki    one model; repeatable

For each float32 weight and each way of the list: how far the numbers are off, and how many bits
their codes and steps take when they are entropy-coded. Then the same weight with uniform steps
rounded at a price (``quantizer``, without statistics of activations, which would only help it), at
that very error. What is printed are bits a weight over the whole model, and the ratio.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from model_peers import bench
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from toolchain.formats import onnx_model
from toolchain.formats.coded_tensor import decoded
from toolchain.formats.onnx_weights import weights
from toolchain.quantization.quantizer import Prepared, coded, prepared
from toolchain.quantization.rate import entropy_bits, factor_bits, tensor_bits

_LEAST, _MOST = 1024, 4_000_000  # elements: smaller ones do not count, larger ones take minutes
_CLIPS = np.linspace(0.25, 1.0, 16)  # shares of a row's largest number at which it may be clipped
_BLOCK = 32  # of onnxruntime's MatMulNBits
_HALVINGS = 9  # of the interval of multipliers: errors agree to a percent

Matrix = NDArray[np.float32]
Way = Callable[[Matrix], tuple[Matrix, float]]
"""Rows (rows, depth) -> what comes back, and bits."""


def clipped(most: int) -> Way:
    """Each row in codes of at most ``most``, clipped where its squared error is least."""

    def way(rows: Matrix) -> tuple[Matrix, float]:
        peaks = np.abs(rows).max(axis=1, keepdims=True)
        best = np.zeros_like(rows)
        errors = np.full((len(rows), 1), np.inf, np.float32)
        codes, steps = np.zeros(rows.shape, np.int32), np.ones_like(errors)
        for clip in _CLIPS:
            step = np.where(peaks > 0, peaks * np.float32(clip / most), np.float32(1))
            tried = np.clip(np.rint(rows / step), -most, most)
            error = ((tried * step - rows) ** 2).sum(axis=1, keepdims=True)
            better = error < errors
            errors = np.where(better, error, errors)
            best = np.where(better, tried * step, best)
            codes = np.where(better, tried, codes).astype(np.int32)
            steps = np.where(better, step, steps).astype(np.float32)
        return best, entropy_bits(codes) + factor_bits(steps)

    return way


def blocks(most: int) -> Way:
    """Blocks of 32 with a half-precision step each."""

    def way(rows: Matrix) -> tuple[Matrix, float]:
        flat = np.pad(rows.ravel(), (0, -rows.size % _BLOCK)).reshape(-1, _BLOCK)
        step = (np.abs(flat).max(axis=1, keepdims=True) / most).astype(np.float16)
        divisor = np.where(step > 0, step, 1).astype(np.float32)
        codes = np.clip(np.rint(flat / divisor), -most, most).astype(np.int32)
        back = (codes * divisor).ravel()[: rows.size].reshape(rows.shape)
        return back, entropy_bits(codes) + entropy_bits(step.view(np.int16).astype(np.int32))

    return way


def half(rows: Matrix) -> tuple[Matrix, float]:
    """Half precision: 16 bits, of which the exponent's are cheaper."""
    short = rows.astype(np.float16)
    planes = np.ascontiguousarray(short).view(np.uint8).reshape(-1, 2)
    bits = sum(entropy_bits(planes[:, n].astype(np.int32)) for n in range(2))
    return short.astype(np.float32), bits


WAYS: Mapping[str, Way] = {
    **{f"per channel, {most} levels, clipped": clipped(most) for most in (127, 63, 31, 15, 7)},
    "blocks of 32, 8 bits": blocks(127),
    "blocks of 32, 4 bits": blocks(7),
    "half precision": half,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="only this model; repeatable")
    asked = parser.parse_args().model
    run = bench.open_run(lambda _: None, latency=False)
    table = Table("model", "way", "error", "bits", "bits of the search", "ratio")
    for model in run.catalogue.model:
        if asked and model.name not in asked:
            continue
        for row in _rows(run.original(model)):
            table.add_row(model.name, *row)
        table.add_section()
    Console(width=110).print(table)


def _rows(path: Path) -> list[tuple[str, ...]]:
    found = weights(onnx_model.load(path.read_bytes()), _LEAST)
    ready = [
        prepared(one, None)
        for one in found
        if one.dtype == "float32" and one.values.size <= _MOST and one.values.any()
    ]
    count = sum(one.values.size for one in ready)
    rows = []
    for name, way in WAYS.items() if ready else ():
        pairs = [_both(one, way) for one in ready]
        squares = [p[0] * one.values.size for p, one in zip(pairs, ready, strict=True)]
        error = (sum(squares) / count) ** 0.5
        theirs, ours = (sum(p[n] for p in pairs) / count for n in (1, 2))
        rows.append((name, f"{error:.2%}", f"{theirs:.2f}", f"{ours:.2f}", f"{ours / theirs:.2f}"))
    return rows


def _both(one: Prepared, way: Way) -> tuple[float, float, float]:
    """Return the relative square error, the bits of ``way``, and of the search's at that error."""
    energy = float((one.values**2).sum())
    back, bits = way(one.values.reshape(-1, one.values.shape[-1]))
    error = float(((back.reshape(one.values.shape) - one.values) ** 2).sum()) / energy
    low, high = -20.0, 2.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tensor = coded(one, 2.0**middle)
        off = decoded(tensor).astype(np.float64) - one.weight.values
        low, high = (middle, high) if float((off**2).sum()) / energy <= error else (low, middle)
    return error, bits, tensor_bits(coded(one, 2.0**low))


if __name__ == "__main__":
    main()
