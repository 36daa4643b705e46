"""GGUF's block-quantized numbers: as codes, scales and minima, and as float32.

A number is ``scale * (code - zero) + minimum``, with one scale and one minimum for each block of
16 or 32 codes along a row. Nothing is rounded here: codes of 2 and 3 bits are stored in 4, of 5
and 6 bits in 8, and moved so that ``zero`` is the middle of what 4 or 8 bits can say, where there
is room. In K-quants a block's scale is a float16 times an integer of six bits or eight: at most
11 + 8 bits, so exact in float32.

Source: ggml's block structures (ggml-common.h); their layouts are in ``gguf_layouts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.gguf import GgufModel, GgufTensor
from toolchain.formats.gguf_layouts import LAYOUTS, Factors

Codes = NDArray[np.uint8]

_MATRIX = 2  # dimensions


@dataclass(frozen=True, slots=True)
class Blocks:
    """A quantized matrix, its blocks along the rows.

    Shapes:
        codes: (rows, blocks, bytes); of 4-bit codes, element 2j is the low half of byte j
        scales, minima: of (rows, blocks) numbers; without minima they are 0
    """

    bits: int
    codes: Codes
    zero: int
    scales: Factors
    minima: Factors | None

    @property
    def block(self) -> int:
        """Numbers in a block."""
        return int(self.codes.shape[2]) * 8 // self.bits


def has_blocks(tensor: GgufTensor) -> bool:
    """Return whether ``blocks`` knows the format of a matrix."""
    return tensor.type_name in LAYOUTS and len(tensor.shape) == _MATRIX


def blocks(model: GgufModel, tensor: GgufTensor) -> Blocks:
    """Return the blocks of a matrix; every code, scale and minimum stays as it is.

    Errors:
        InputError: a format without blocks, or a scale that is no number.
    """
    if not has_blocks(tensor):
        raise InputError(
            f"tensor {tensor.name!r}, {tensor.type_name}, has no blocks",
            hint=f"quantize its matrices to one of {', '.join(LAYOUTS)}",
        )
    columns, rows = tensor.shape
    layout = LAYOUTS[tensor.type_name]
    stored = model.raw(tensor).reshape(rows, columns // layout.elements, layout.size)
    codes, scales, minima = layout.read(stored)
    found = Blocks(layout.bits, _packed(codes, layout.bits), layout.zero, scales, minima)
    finite = np.isfinite(scales.coarse).all() and (
        minima is None or np.isfinite(minima.coarse).all()
    )
    if not finite:
        raise _not_finite(tensor)
    return found


def stacked(tables: Sequence[Blocks]) -> Blocks:
    """Put matrices of one format on top of one another."""
    first = tables[0]
    minima = [table.minima for table in tables if table.minima is not None]
    return Blocks(
        first.bits,
        np.concatenate([table.codes for table in tables]),
        first.zero,
        _stacked_factors([table.scales for table in tables]),
        _stacked_factors(minima) if minima else None,
    )


def _stacked_factors(factors: Sequence[Factors]) -> Factors:
    fine = [one.fine for one in factors if one.fine is not None]
    coarse = np.concatenate([one.coarse for one in factors])
    return Factors(coarse, np.concatenate(fine) if fine else None)


def _packed(codes: Codes, bits: int) -> Codes:
    """Put two codes of 4 bits into a byte, (2j, 2j + 1) in low and high half."""
    if bits == 8:  # noqa: PLR2004 - 4 or 8
        return codes
    packed: Codes = codes[..., 0::2] | (codes[..., 1::2] << np.uint8(4))
    return packed


def as_float32(model: GgufModel, tensor: GgufTensor) -> NDArray[np.float32]:
    """Return a tensor of any known type as float32, in row-major order: (rows, columns).

    Errors:
        InputError: a type that cannot be dequantized, or numbers that are none.
    """
    try:
        kind = GGMLQuantizationType[tensor.type_name]
        with np.errstate(invalid="ignore", over="ignore"):  # checked below
            numbers = np.asarray(dequantize(model.raw(tensor), kind), np.float32)
    except (KeyError, NotImplementedError) as error:
        raise InputError(
            f"tensor {tensor.name!r} has the type {tensor.type_name}, which cannot be dequantized",
            hint="convert the model to another quantization",
        ) from error
    if not np.isfinite(numbers).all():
        raise _not_finite(tensor)
    return numbers.reshape(tensor.shape[::-1])


def _not_finite(tensor: GgufTensor) -> InputError:
    return InputError(
        f"tensor {tensor.name!r} holds NaN or infinite numbers",
        hint="the file is damaged, or its conversion failed; fetch it again",
    )
