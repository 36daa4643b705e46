"""What block-quantized matrices are multiplied with: second moments over the calibration data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.onnx_blocks import BlockMatrix
from toolchain.formats.onnx_exposed import exposed
from toolchain.formats.onnx_runner import Array, Port, Runner, open_runner
from toolchain.tasks.base import Split, Task

Moments = NDArray[np.float64]

_LOUD = 10.0
"""Times the median energy; louder rows are left out. The first token of a text is one: language
models park attention there, with activations a thousand times those of any other token, which
would be all that the moments say. Ours."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Mean of x xT of one matrix's activations, over ``rows`` of them.

    Shapes:
        blocks: (blocks, block, block), within each block
        full: (columns, columns), kept for 8-bit matrices, which are rounded with feedback
    """

    rows: int
    blocks: Moments
    full: Moments | None


@dataclass
class _Sum:
    columns: int
    block: int
    full: bool
    rows: int = 0
    total: Moments | None = None

    def add(self, given: NDArray[np.float32]) -> None:
        if given.shape[1] != self.columns:
            return
        energy = np.square(given).sum(axis=1)
        x = given[energy <= _LOUD * np.median(energy)]
        if not x.size or not np.isfinite(x).all():
            return
        if self.full:
            product = x.T @ x
        else:
            parts = x.reshape(len(x), -1, self.block).transpose(1, 0, 2)
            product = np.matmul(parts.transpose(0, 2, 1), parts)
        self.rows += len(x)
        self.total = product.astype(np.float64) + (0 if self.total is None else self.total)

    def seen(self) -> Seen | None:
        if self.total is None:
            return None
        mean: Moments = self.total / self.rows
        if not self.full:
            return Seen(self.rows, mean, None)
        at = np.arange(len(mean) // self.block)
        blocks = mean.reshape(len(at), self.block, len(at), self.block)[at, :, at]
        return Seen(self.rows, blocks, mean)


@dataclass
class _Watcher:
    """A runner that adds up what passes through; its answers are the model's own."""

    runner: Runner
    shown: tuple[str, ...]
    sums: Mapping[str, _Sum]
    inputs: tuple[Port, ...] = field(init=False)
    outputs: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs, self.outputs = self.runner.inputs, self.shown

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the model's own outputs."""
        found = self.runner.run(feeds)
        for name, one in self.sums.items():
            rows = found[name].astype(np.float32).reshape(-1, found[name].shape[-1])
            if len(rows) > 1:  # the pass along an answer says again what its single steps said
                one.add(rows)
        return {name: found[name] for name in self.shown}


def block_moments(model: bytes, task: Task, matrices: Sequence[BlockMatrix]) -> dict[str, Seen]:
    """Ask the calibration questions; return the moments of each matrix, by its name.

    What no question passed through is not there.

    Errors:
        InputError: the model cannot be asked.
    """
    sums: dict[str, _Sum] = {}
    for one in matrices:
        known = sums.get(one.activations)
        full = one.bits == 8 or (known is not None and known.full)  # noqa: PLR2004 - 4 or 8
        sums[one.activations] = _Sum(one.columns, one.block, full)
    shown = open_runner(model).outputs
    watcher = _Watcher(open_runner(exposed(model, sums)), shown, sums)
    task.reference(watcher, Split.CALIBRATION)
    found = {one.name: sums[one.activations].seen() for one in matrices}
    return {name: seen for name, seen in found.items() if seen is not None}
