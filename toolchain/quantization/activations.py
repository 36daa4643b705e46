"""What weights are multiplied with: second moments of activations over the calibration data."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.onnx_runner import Array, Port, Runner
from toolchain.formats.onnx_uses import Source, Window

Rows = NDArray[np.float32]
Moments = NDArray[np.float64]
"""Shape (group, depth, depth): mean of x xT, or (group, depth): its diagonal alone."""

_FULL_DEPTH = 2304
"""Above it only the diagonal is kept: its factorization takes 4 GFLOP and 42 MB. Ours."""

_RUN_ROWS = 512  # of one run; neighbouring frames say nearly the same
_ROWS_PER_DEPTH = 4
_LEAST_ROWS = 4096
"""Rows after which a source is left alone: four times the unknowns of a row. Ours."""


@dataclass
class _Sum:
    """Rows wait until there are enough for one product."""

    seen: int = 0
    rows: int = 0
    total: Moments | None = None
    waiting: list[Rows] = field(default_factory=list)

    def add(self, rows: Rows, seen: int) -> None:
        """``rows``: (row, group, depth), of ``seen`` that there were."""
        self.seen += seen
        if self.rows >= max(_LEAST_ROWS, _ROWS_PER_DEPTH * rows.shape[2]):
            return
        part = rows[:: -(-len(rows) // _RUN_ROWS)]
        self.waiting.append(np.ascontiguousarray(part))
        self.rows += len(part)
        if sum(len(w) for w in self.waiting) >= _RUN_ROWS:
            self.settle()

    def settle(self) -> None:
        """Add what waits."""
        if not self.waiting:
            return
        stacked = np.concatenate(self.waiting).transpose(1, 0, 2)
        self.waiting.clear()
        if stacked.shape[2] > _FULL_DEPTH:
            moments = np.square(stacked, dtype=np.float64).sum(axis=1)
        else:
            moments = np.matmul(stacked.transpose(0, 2, 1), stacked).astype(np.float64)
        self.total = moments if self.total is None else self.total + moments


@dataclass(frozen=True)
class Collector:
    """A runner that adds up what passes through it; its answers are the inner runner's.

    ``runner`` gives the sources' values as outputs, after the ``shown`` ones of the model itself.
    """

    runner: Runner
    shown: tuple[str, ...]
    sources: Collection[Source]
    constants: Mapping[str, Array] = field(default_factory=dict)  # sources may name some
    _sums: dict[Source, _Sum] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What a caller feeds."""
        return self.runner.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of the model itself."""
        return self.shown

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the model's own outputs."""
        found = self.runner.run(feeds)
        values = {**self.constants, **feeds, **found}
        for source in self.sources:
            if source.value not in values:
                continue
            rows = _rows(source, values)
            if rows is not None and rows.size and np.isfinite(rows).all():
                self._sums.setdefault(source, _Sum()).add(rows, _count(source, values))
        return {name: found[name] for name in self.shown}

    def moments(self) -> dict[Source, Moments]:
        """Return the mean second moments of every source that was seen."""
        found = {}
        for source, one in self._sums.items():
            one.settle()
            if one.total is not None:
                found[source] = one.total / one.rows
        return found

    def rows(self) -> dict[Source, int]:
        """Return how many rows passed each source, looked at or not."""
        return {source: one.seen for source, one in self._sums.items()}


def _count(source: Source, values: Mapping[str, Array]) -> int:
    """Return how many rows one run has; of a window about, as if it were one number wide."""
    x = values[source.value]
    axis = {"columns": -2, "channels": 1, "window": 1}.get(source.kind, -1)
    strides = source.window.strides if source.window is not None else ()
    return int(x.size) // max(1, int(x.shape[axis]) * math.prod(strides))


def _rows(source: Source, values: Mapping[str, Array]) -> Rows | None:
    """Return what one run multiplies the weight with, as (row, group, depth)."""
    given = values[source.value]
    if given.dtype.kind not in "fiu" or not given.ndim:
        return None
    x: Rows = given.astype(np.float32)
    if source.zero_point in values:
        x = x - values[source.zero_point].astype(np.float32)
    found = None
    if source.kind in ("last", "input"):
        found = x.reshape(-1, 1, x.shape[-1])
    elif source.kind == "columns" and x.ndim > 1:
        found = np.moveaxis(x, -2, -1).reshape(-1, 1, x.shape[-2])
    elif source.kind == "channels" and source.window is not None:
        groups = source.window.groups
        found = np.moveaxis(x, 1, -1).reshape(-1, groups, x.shape[1] // groups)
    elif source.kind == "hidden":
        found = _hidden(x, values.get(source.initial))
    elif source.kind == "window" and source.window is not None:
        found = _windows(x, source.window)
    return found


def _hidden(y: Rows, initial: Array | None) -> Rows:
    """``y``: (time, 1, batch, hidden) -> what each step was given."""
    first = np.zeros_like(y[:1]) if initial is None else initial[None].astype(np.float32)
    return np.concatenate((first, y[:-1])).reshape(-1, 1, y.shape[-1])


def _windows(x: Rows, window: Window) -> Rows | None:
    """``x``: (batch, channel, position ...) -> (row, group, channel * kernel)."""
    n = len(window.kernel)
    if x.ndim != n + 2:
        return None
    pads = [(0, 0), (0, 0), *zip(window.pads[:n], window.pads[n:], strict=True)]
    spans = [d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
    padded = np.pad(x, pads)
    if any(p < s for p, s in zip(padded.shape[2:], spans, strict=True)):
        return None
    axes = tuple(range(2, n + 2))
    view = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
    steps = [slice(None), slice(None), *(slice(None, None, s) for s in window.strides)]
    view = view[(*steps, *(slice(None, None, d) for d in window.dilations))]
    view = view[:, :, :: -(-view.shape[2] // _RUN_ROWS)]
    # (batch, channel, positions..., kernel...) -> (batch, positions..., channel, kernel...)
    rows = np.moveaxis(view, 1, 1 + n)
    depth = x.shape[1] // window.groups * int(np.prod(window.kernel))
    return rows.reshape(-1, window.groups, depth)
