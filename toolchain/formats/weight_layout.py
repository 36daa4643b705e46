"""How a weight becomes matrices: which of its axes are added up, which are outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)
_ORDER = "grd"


@dataclass(frozen=True)
class Layout:
    """The roles of a weight's axes, after it was cut along ``split``.

    A weight is a stack of matrices (group, row, depth): a row makes one output, depth is what a
    row adds up. ``roles`` names each axis of ``split``: ``g`` group, ``r`` row, ``d`` depth.

    >>> Layout((5, 2), "dr").sizes
    (1, 2, 5)
    """

    split: tuple[int, ...]
    roles: str

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Groups, rows of each, depth."""
        products = [
            math.prod(n for n, role in zip(self.split, self.roles, strict=True) if role == one)
            for one in _ORDER
        ]
        return products[0], products[1], products[2]

    def matrices(self, values: NDArray[T]) -> NDArray[T]:
        """Return ``values`` (any shape of the right size) as (group, row, depth)."""
        return values.reshape(self.split).transpose(self._order).reshape(self.sizes)

    def grid(self, matrices: NDArray[T]) -> NDArray[T]:
        """Return matrices as an array of the shape ``split``: row-major order of the weight."""
        sizes = [self.split[axis] for axis in self._order]
        return np.ascontiguousarray(matrices.reshape(sizes).transpose(np.argsort(self._order)))

    def factor(self, values: NDArray[T], role: str) -> NDArray[T]:
        """Return one number a row (or depth) as an array that broadcasts against the grid.

        Shapes:
            values: (group, row) for ``r``, (group, depth) for ``d``
        """
        kept = [axis for axis in self._order if self.roles[axis] in ("g", role)]
        rising = values.reshape([self.split[axis] for axis in kept]).transpose(np.argsort(kept))
        shape = [n if axis in kept else 1 for axis, n in enumerate(self.split)]
        return np.ascontiguousarray(rising.reshape(shape))

    @property
    def _order(self) -> list[int]:
        return sorted(
            range(len(self.split)), key=lambda axis: (_ORDER.index(self.roles[axis]), axis)
        )
