"""8-bit blocks on fewer codes: new steps, and rounding with error feedback.

Model
    Q8_0 spends 8 bits on every number, whether it matters or not. Here every row has one step, in
    all its blocks, unless a block is too loud for 8 bits of it; blocks whose inputs are loud have
    finer ones (reverse water-filling). Rounding is GPTQ's: what a column's rounding spoils, the
    columns after it take over as far as their inputs are correlated.

    Rows of an embedding are tokens, and a token's row matters as often as the token is written or
    likely. Vocabularies are ordered by merges, so by frequency, and by Zipf's law the n-th word is
    written 1 / n times as often: steps grow with the root of the row's number. Nothing is taken
    from the calibration data for that, in which most tokens do not occur.

Source
    Frantar et al., GPTQ, 2022; Zipf, Human Behavior and the Principle of Least Effort, 1949.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.coded_tensor import CodedTensor, decoded
from toolchain.formats.onnx_blocks import BlockMatrix
from toolchain.quantization.block_factors import exact_bits
from toolchain.quantization.block_moments import Seen
from toolchain.quantization.rate import entropy_bits, tensor_bits

Rows = NDArray[np.float32]

_SAME_RANKS = 300
"""Tokens that are treated alike at the start: control tokens and bytes, of no rank. Ours."""
_STEP_DENSITY = 4  # steps are powers of 2 ** (1 / 4) ...
_SMALLEST_STEP = 16  # ... rounded to integers, of which the smallest is this
_LARGEST_STEP = 2**23  # exact in float32, with room
_UNDERDETERMINED = 0.25
"""Damping, as a share of the mean energy, is this times columns / rows seen. Measured on SmolLM2
(576 columns; 663 and 3,955 rows): least error on other texts at 0.1-0.3 and at 0.03-0.05."""
_LEAST_DAMPING = 0.01  # GPTQ's value
_SAME_STEP = 1e-6  # of an exponent: rounding of a logarithm
_BLOCK = 32  # columns whose feedback is computed one by one; between blocks it is one product


class _Feedback(NamedTuple):
    """The order of columns, loudest first, and how errors are handed on.

    ``upper``: U of the inverse moments UT U, columns in that order.
    """

    order: NDArray[np.intp]
    upper: Rows


@dataclass(frozen=True, eq=False)
class CodeCoder:
    """Codes an 8-bit matrix anew; what does not depend on the step is here.

    Shapes:
        values: (rows, blocks, block)
        shares: (rows, 1) and (1, blocks), relative steps
    """

    matrix: BlockMatrix
    values: Rows
    shares: tuple[NDArray[np.float64], NDArray[np.float64]]
    feedback: _Feedback | None

    def coded(self, step: float) -> dict[int, CodedTensor]:
        """Return codes and scales at ``step`` times the matrix's median scale.

        Nothing where that takes no fewer bits, or where scales have no such grid.
        """
        one = self.matrix
        steps = self._steps(step)
        if steps is None:
            return {}
        sizes = decoded(steps).astype(np.float32)
        if not (np.isfinite(sizes).all() and (sizes > 0).all()):
            return {}
        each = np.repeat(sizes, one.block, axis=1)
        bounds = _Bounds(-one.zero, 255 - one.zero)
        codes = _rounded(self.values.reshape(each.shape), each, self.feedback, bounds)
        shape = one.codes.values.shape
        whole = (codes + np.float32(one.zero)).astype(np.uint8).reshape(shape)
        before = column_bits(one.codes.values.astype(np.uint8)) + exact_bits(one.scales)
        if column_bits(whole) + tensor_bits(steps) >= before:
            return {}
        return {one.codes.index: CodedTensor(whole, shape, "uint8"), one.scales.index: steps}

    def _steps(self, step: float) -> CodedTensor | None:
        """Return the new scales, (rows, blocks)."""
        one, (of_rows, of_blocks) = self.matrix, self.shares
        usual = float(np.median(np.abs(one.scales.values.astype(np.float64)))) * step
        if not usual > 0:
            return None
        loudest = np.abs(self.values).max(axis=2) / (min(one.zero, 255 - one.zero) - 1)
        wanted = np.maximum(usual * of_rows, loudest / of_blocks)
        lowest = float(wanted.min())
        exponents = np.ceil(np.log2(wanted / lowest) * _STEP_DENSITY - _SAME_STEP)
        codes = np.ceil(_SMALLEST_STEP * np.exp2(exponents / _STEP_DENSITY))
        if not codes.max() < _LARGEST_STEP:
            return None
        unit = np.full((1, 1), lowest / _SMALLEST_STEP, np.float32)
        factors = unit, of_blocks.astype(np.float32)
        dtype = str(one.scales.values.dtype)
        return CodedTensor(codes.astype(np.int32), one.scales.values.shape, dtype, factors)


def code_coder(matrix: BlockMatrix, seen: Seen | None) -> CodeCoder:
    """Return what codes ``matrix`` anew; without ``seen`` it rounds to the nearest."""
    values = matrix.numbers()
    rows = _row_shares(len(values), tokens=matrix.gathered)[:, None]
    shares = rows, _block_shares(seen, values.shape[1])
    return CodeCoder(matrix, values, shares, _feedback(seen, matrix.columns))


def column_bits(codes: NDArray[np.integer]) -> float:
    """Return what codes (rows, ...) take when each column has its own statistics.

    A packer that turns the matrix comes near; columns differ because their inputs do.
    """
    columns = codes.reshape(len(codes), -1)
    return min(entropy_bits(codes), sum(entropy_bits(column) for column in columns.T))


class _Bounds(NamedTuple):
    low: float
    high: float


def _row_shares(rows: int, *, tokens: bool) -> NDArray[np.float64]:
    """Return relative steps of the rows, (rows,), of geometric mean 1."""
    if not tokens:
        return np.ones(rows)
    roots = np.sqrt(np.arange(rows) + _SAME_RANKS)
    shares: NDArray[np.float64] = roots / np.exp(np.log(roots).mean())
    return shares


def _block_shares(seen: Seen | None, blocks: int) -> NDArray[np.float64]:
    """Return relative steps of the blocks, (1, blocks), of geometric mean 1."""
    if seen is None or len(seen.blocks) != blocks:
        return np.ones((1, blocks))
    energy = np.einsum("bkk->b", seen.blocks)
    energy = np.maximum(energy, max(energy.mean() * _LEAST_DAMPING, np.finfo(np.float64).tiny))
    exponents = np.rint(-np.log2(energy / energy.mean()) / 2 * _STEP_DENSITY)
    shares: NDArray[np.float64] = np.exp2((exponents - exponents.mean()) / _STEP_DENSITY)[None]
    return shares


def _feedback(seen: Seen | None, columns: int) -> _Feedback | None:
    if seen is None or seen.full is None or len(seen.full) != columns:
        return None
    damping = max(_UNDERDETERMINED * columns / seen.rows, _LEAST_DAMPING)
    energy = float(np.trace(seen.full)) / columns
    if not energy > 0:
        return None
    damped = seen.full + damping * energy * np.eye(columns)
    order = np.argsort(-np.diagonal(damped), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    return _Feedback(order, np.ascontiguousarray(upper, np.float32))


def _rounded(rows: Rows, steps: Rows, feedback: _Feedback | None, bounds: _Bounds) -> Rows:
    """Return the codes of ``rows`` (row, column) as whole numbers within ``bounds``."""
    if feedback is None:
        nearest: Rows = np.clip(np.rint(rows / steps), *bounds)
        return nearest
    order, upper = feedback
    left = np.ascontiguousarray(rows.T[order])  # columns as rows: each is read and written whole
    sizes = np.ascontiguousarray(steps.T[order])
    codes = np.empty_like(left)
    for start in range(0, len(left), _BLOCK):
        end = min(start + _BLOCK, len(left))
        wrong = np.empty((end - start, left.shape[1]), np.float32)
        for k in range(start, end):
            codes[k] = np.clip(np.rint(left[k] / sizes[k]), *bounds)
            wrong[k - start] = (left[k] - codes[k] * sizes[k]) / upper[k, k]
            left[k + 1 : end] -= upper[k, k + 1 : end, None] * wrong[k - start]
        left[end:] -= upper[start:end, end:].T @ wrong
    found = np.empty_like(codes)
    found[order] = codes
    return found.T
