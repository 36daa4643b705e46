"""Weights that lie on a grid already: integer codes that give back every bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.coded_tensor import CodedTensor, decoded

_MOST_LEVELS = 511  # of int8 less any zero point
_GLANCE = 4096  # values that are looked at first: most weights show at once that they are on none
_DIVISORS = (1, 2, 3)
"""Neighbours on the grid may be missing, so the least distance may be a multiple of the step."""

_NEAR = (
    0.1  # steps by which a level may miss its place, at first: rounding of large by small numbers
)
_ULPS = 32  # neighbours of a fitted step that are tried


def exact_codes(values: NDArray[np.generic]) -> CodedTensor | None:
    """Return codes that decode to ``values`` bit for bit, one step for all; None if there are none.

    So are weights that were int8 once: ``code * step - zero * step``, each product rounded.
    """
    if values.dtype != np.float32 or values.size < _GLANCE:
        return None
    if np.unique(values.ravel()[:_GLANCE]).size > _MOST_LEVELS:
        return None
    levels = np.unique(values)
    if not 1 < levels.size <= _MOST_LEVELS:
        return None
    exact = levels.astype(np.float64)
    least = float(np.diff(exact).min())
    for divisor in _DIVISORS:
        codes = np.rint(exact * divisor / least)
        span = np.abs(codes).max()
        if span > _MOST_LEVELS:
            return None
        step = float((exact * codes).sum() / np.square(codes).sum())
        if np.abs(exact / step - codes).max() < _NEAR:
            found = _fitted(levels, codes.astype(np.float32), np.float32(step))
            return None if found is None else _coded(values, *found)
    return None


def _fitted(
    levels: NDArray[np.generic], codes: NDArray[np.float32], step: np.float32
) -> tuple[np.float32, int] | None:
    """Return the step and the zero point that give back all levels."""
    low = np.float32(step).view(np.int32) - _ULPS
    steps = np.arange(low, low + 2 * _ULPS + 1, dtype=np.int32).view(np.float32)
    for zero in sorted(range(-_MOST_LEVELS, _MOST_LEVELS + 1), key=abs):
        made = (codes + np.float32(zero)) * steps[:, None] - np.float32(zero) * steps[:, None]
        same = (made == levels).all(axis=1)
        if same.any():
            return np.float32(steps[int(np.argmax(same))]), zero
    return None


def _coded(values: NDArray[np.generic], step: np.float32, zero: int) -> CodedTensor | None:
    numbers = values.astype(np.float32)
    codes = (np.rint(numbers / step) + np.float32(zero)).astype(np.int16)
    one = (1,) * values.ndim
    factor = np.full(one, step, np.float32)
    offset = np.full(one, -(np.float32(zero) * step), np.float32) if zero else None
    if codes.min() >= np.iinfo(np.int8).min and codes.max() <= np.iinfo(np.int8).max:
        codes = codes.astype(np.int8)
    made = CodedTensor(codes, values.shape, str(values.dtype), (factor,), offset)
    return made if decoded(made).tobytes() == values.tobytes() else None  # -0.0 is no code
