"""Scales and minima of 4-bit blocks on coarser grids; the codes stay as they are.

Model
    A block's numbers are ``scale * unit + minimum``. Errors of both answer an input x with
    ``(ds * unit + dm) . x``, whose mean square follows from the block's second moments. Steps are
    the same share of a row's scales in every row (which tell how large its numbers are), and in
    inverse proportion to how much each block matters, as reverse water-filling wants it. Minima
    take over what the rounding of scales spoiled: best is ``dm = -ds * k``, with k the units' mean
    weighted by the moments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.coded_tensor import CodedTensor, decoded
from toolchain.formats.onnx_blocks import BlockMatrix, Stored
from toolchain.quantization.block_moments import Moments, Seen
from toolchain.quantization.rate import entropy_bits, tensor_bits

Grid = NDArray[np.float64]

_DAMPING = 0.01  # share of the mean energy that every input has at least: GPTQ's value
_ROW_DENSITY = 4  # rows' steps are powers of 2 ** (1 / 4): few different numbers, so cheap
_BLOCK_DENSITY = 2
_WIDEST, _NARROWEST = 4.0, 1 / 64
"""Times the mean step: a block the calibration data hardly excites is not given up. Ours."""
_LARGEST_CODE = 2**23  # exact in float32, with room


@dataclass(frozen=True, eq=False)
class FactorCoder:
    """Codes the scales and minima of one matrix; what does not depend on the step is here.

    Shapes:
        rows: (rows, 1), the step of a row; shares, shares_of_minima: (1, blocks), relative
        pull: (rows, blocks), k above
    """

    matrix: BlockMatrix
    rows: Grid
    shares: Grid
    shares_of_minima: Grid
    pull: Grid

    def coded(self, step: float) -> dict[int, CodedTensor]:
        """Return scales and minima on grids of about ``step`` times a row's median scale.

        Nothing where exact ones take no more bits, or where no such grid holds them.
        """
        if not step > 0:
            return {}
        stored, minima = self.matrix.scales, self.matrix.minima
        scales = stored.values.astype(np.float64)
        on_grid = _coded(stored, scales, self.rows * step * self.shares, least=1)
        if on_grid is None:
            return {}
        found = {stored.index: on_grid}
        exact = exact_bits(stored)
        if minima is not None:
            spoiled = decoded(on_grid).astype(np.float64) - scales
            wanted = minima.values.astype(np.float64) - spoiled * self.pull
            lowest = _coded(minima, wanted, self.rows * step * self.shares_of_minima, least=0)
            if lowest is None:
                return {}
            found[minima.index] = lowest
            exact += exact_bits(minima)
        return found if sum(map(tensor_bits, found.values())) < exact else {}


def factor_coder(matrix: BlockMatrix, seen: Seen | None) -> FactorCoder:
    """Return what codes the factors of ``matrix``; without ``seen`` all inputs matter alike."""
    cost = _costs(matrix.units(), seen, anchored=matrix.minima is not None)
    return FactorCoder(
        matrix,
        _row_steps(matrix.scales.values.astype(np.float64)),
        _shares(cost.scales, cost.mean),
        _shares(cost.minima, cost.mean),
        cost.pull,
    )


class _Costs(NamedTuple):
    """Mean squares by which answers change for an error of 1.

    Shapes:
        scales, minima: (blocks,)
        pull: (rows, blocks), k above; 0 where nothing can take over
    """

    scales: Grid
    minima: Grid
    pull: Grid
    mean: float


def _costs(units: NDArray[np.float32], seen: Seen | None, *, anchored: bool) -> _Costs:
    _, blocks, block = units.shape
    moments: Moments = np.eye(block) * np.ones((blocks, 1, 1))
    if seen is not None and seen.blocks.shape == moments.shape:
        energy = np.einsum("bkk->", seen.blocks) / (blocks * block)
        moments = seen.blocks + moments * max(energy * _DAMPING, np.finfo(np.float32).tiny)
    minima: Grid = moments.sum(axis=(1, 2))
    pull = np.zeros(units.shape[:2])
    if anchored:
        pull = np.einsum("rbk,bk->rb", units, moments.sum(axis=2) / minima[:, None])
    spread = units - pull[..., None].astype(np.float32)
    answers = np.einsum("rbk,bkl->rbl", spread, moments.astype(np.float32), optimize=True)
    scales = np.einsum("rbk,rbk->b", answers, spread).astype(np.float64) / len(units)
    return _Costs(scales, minima, pull, float(minima.mean()))


def _shares(cost: Grid, mean: float) -> Grid:
    """Return relative steps, (1, blocks)."""
    exact = np.sqrt(mean / np.maximum(cost, np.finfo(np.float64).tiny))
    steps = np.exp2(np.rint(np.log2(exact) * _BLOCK_DENSITY) / _BLOCK_DENSITY)
    clipped: Grid = np.clip(steps, _NARROWEST, _WIDEST)[None]
    return clipped


def _row_steps(scales: Grid) -> Grid:
    """Return the median size of each row's scales, roughly, as float16 holds it: (rows, 1)."""
    middle = np.median(np.abs(scales), axis=1, keepdims=True)
    usual = float(np.median(middle)) or 1.0
    rough = np.exp2(
        np.rint(np.log2(np.where(middle > 0, middle, usual)) * _ROW_DENSITY) / _ROW_DENSITY
    )
    steps: Grid = rough.astype(np.float16).astype(np.float64)
    return steps


def _coded(stored: Stored, wanted: Grid, steps: Grid, *, least: int) -> CodedTensor | None:
    """Return ``wanted`` in multiples of ``steps``; of what is not 0 at least ``least`` ones."""
    rows = steps.max(axis=1, keepdims=True)
    factors = rows.astype(np.float32), (steps[:1] / rows[:1]).astype(np.float32)
    codes = np.rint(wanted / steps)
    codes = np.where((np.abs(codes) < least) & (wanted != 0), np.copysign(least, wanted), codes)
    if not np.abs(codes).max(initial=0) < _LARGEST_CODE:
        return None
    dtype = str(stored.values.dtype)
    found = CodedTensor(codes.astype(np.int32), stored.values.shape, dtype, factors)
    with np.errstate(over="ignore"):
        return found if np.isfinite(decoded(found)).all() else None


def exact_bits(stored: Stored) -> float:
    """Return what factors take as they are: entropy of their bit patterns."""
    wide = np.ascontiguousarray(stored.values)
    return entropy_bits(wide.view(f"u{wide.itemsize}"))
