"""A tensor as integer codes and the few numbers that turn them back: what a package carries.

Every number of the tensor is ``code * factor * factor ... + offset``, computed in float32, one
operation after the other in this order, each rounded to nearest even. That is the whole
specification: any language with IEEE 754 arithmetic gives the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer]
Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class CodedTensor:
    """Codes on a grid; the grid has as many cells as the tensor, in the same (row-major) order.

    Shapes:
        codes: the grid, any shape; int8, uint8, int16 or int32, |code| < 2 ** 24, so that a code
            is exact in float32
        factors, offset: broadcast against the grid as numpy does; a grid (rows, blocks, 32) with a
            factor (rows, blocks, 1) has one scale a block
        shape: the tensor's own; ``prod(shape) == codes.size``

    ``dtype`` is numpy's name of the tensor's type. Integers are rounded to nearest even and clipped
    to their range; float16 is rounded to nearest even. Without factors and offset the codes are
    the numbers themselves, whatever their size.
    """

    codes: Codes
    shape: tuple[int, ...]
    dtype: str
    factors: tuple[Numbers, ...] = ()
    offset: Numbers | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be turned back."""
        if self.codes.size != math.prod(self.shape):
            raise ValueError(f"{self.codes.size} codes for a tensor of shape {self.shape}")
        for part in (*self.factors, *(() if self.offset is None else (self.offset,))):
            if part.dtype != np.float32:
                raise ValueError(f"factors and offsets are float32, not {part.dtype}")
            if np.broadcast_shapes(part.shape, self.codes.shape) != self.codes.shape:
                raise ValueError(f"{part.shape} does not broadcast to {self.codes.shape}")


def decoded(tensor: CodedTensor) -> NDArray[np.generic]:
    """Return the tensor's numbers.

    >>> decoded(CodedTensor(np.array([[1, -2]], np.int8), (2,), "float32", (np.float32([[0.5]]),)))
    array([ 0.5, -1. ], dtype=float32)
    """
    dtype = np.dtype(tensor.dtype)
    if not tensor.factors and tensor.offset is None:
        return tensor.codes.astype(dtype).reshape(tensor.shape)
    numbers = tensor.codes.astype(np.float32)
    for factor in tensor.factors:
        numbers = numbers * factor
    if tensor.offset is not None:
        numbers = numbers + tensor.offset
    if np.issubdtype(dtype, np.integer):
        bounds = np.iinfo(dtype)
        numbers = np.clip(np.rint(numbers), bounds.min, bounds.max)
    return numbers.astype(dtype).reshape(tensor.shape)
