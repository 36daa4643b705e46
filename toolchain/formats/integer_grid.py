"""Rows of float weights as small integers times one step a row; exactly, where that is possible."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Steps = NDArray[np.float32]

_PROBED = 64  # ours: numbers of a row, and rows, looked at before all of them are
_ROUNDING = np.float32(2.0**-22)
"""Two roundings to float32 (of the step, of the product), each half a unit of 2 ** -23."""


class Grid(NamedTuple):
    """``codes[row] * steps[row]``: int8 codes (rows, columns), float32 steps (rows,)."""

    codes: NDArray[np.int8]
    steps: Steps


def grid(rows: Rows, most: int) -> Grid:
    """Return codes in [-most, most] for float32 ``rows`` (rows, columns).

    A row that already is ``code * step`` with such codes keeps them: what comes back differs from
    it by no more than the rounding of the multiplication, and mostly not at all. Any other row
    gets the step that reaches its largest number.
    """
    steps = exact_steps(rows, most)
    peaks = np.abs(rows).max(axis=1, initial=0)
    steps = np.where(steps > 0, steps, peaks / np.float32(most)).astype(np.float32)
    return Grid(codes(rows, steps, most), steps)


def codes(rows: Rows, steps: Steps, most: int) -> NDArray[np.int8]:
    """Return the nearest codes of ``rows`` on given steps; a step of 0 gives zeros."""
    divisors = np.where(steps > 0, steps, np.float32(1))[:, None]
    return np.clip(np.rint(rows / divisors), -most, most).astype(np.int8)


def exact_steps(rows: Rows, most: int) -> Steps:
    """Return the step of each row that is integers in [-most, most] times a step; else 0.

    The largest number of a row must be ``c * step`` for one of ``most`` integers c: each is tried,
    ``most`` first, as that is what rounding to a grid mostly gives. Rows are not searched where
    most of a sample of them are on no grid.
    """
    every = max(1, len(rows) // _PROBED)
    if np.count_nonzero(_searched(rows[::every], most)) * 2 < len(rows[::every]):
        return np.zeros(len(rows), np.float32)
    return _searched(rows, most)


def _searched(rows: Rows, most: int) -> Steps:
    peaks = np.abs(rows).max(axis=1, initial=0)
    steps = np.where(peaks > 0, 0, 1).astype(np.float32)
    sample = rows[:, :: max(1, rows.shape[1] // _PROBED)]
    for code in (most, *range(1, most)):
        todo = np.flatnonzero(steps == 0)
        if not len(todo):
            break
        tried = peaks[todo] / np.float32(code)
        hopeful = _on_grid(sample[todo], tried, code)
        todo, tried = todo[hopeful], tried[hopeful]
        fits = _on_grid(rows[todo], tried, code)
        steps[todo[fits]] = _sharpened(rows[todo[fits]], tried[fits], code)
    return np.where(np.isfinite(peaks), steps, 0).astype(np.float32)


def _on_grid(rows: Rows, steps: Steps, most: int) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):  # a subnormal step: quotients overflow, and do not fit
        quotients = rows / steps[:, None]
        off = np.abs(quotients - np.rint(quotients))
    fits: NDArray[np.bool_] = (off <= np.float32(most) * _ROUNDING).all(axis=1)
    return fits & (steps > 0)


def _sharpened(rows: Rows, steps: Steps, most: int) -> Steps:
    """Return each step, or the neighbour in float32 that gives more of its row bit by bit."""
    best, hits = steps, np.full(len(steps), -1)
    for candidate in (
        steps,
        np.nextafter(steps, np.float32(0)),
        np.nextafter(steps, np.float32(np.inf)),
    ):
        same = (codes(rows, candidate, most) * candidate[:, None] == rows).sum(axis=1)
        best, hits = np.where(same > hits, candidate, best), np.maximum(hits, same)
    return best
