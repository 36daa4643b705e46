"""GGUF's block-quantized numbers: as codes, scales and minima, and as float32.

Source: ggml's ``block_q4_0``, ``block_q4_1`` and ``block_q8_0`` (ggml-common.h): blocks of 32 along
a row; scale ``d`` and minimum ``m`` are float16; a 4-bit block keeps element j in the low and
element j + 16 in the high half of byte j.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.gguf import GgufModel, GgufTensor

BLOCK = 32  # elements, in all three formats

_SIGN = np.uint8(0x80)  # flipping it turns int8 into the same number plus 128

_BITS = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}
_HEADERS = {"Q4_0": 1, "Q4_1": 2, "Q8_0": 1}  # float16 numbers before the codes


@dataclass(frozen=True, slots=True)
class Blocks:
    """A quantized matrix, its blocks along the rows.

    Shapes:
        codes: (rows, blocks, 4 * bits) uint8; of 4-bit codes, element 2j is the low half of byte j
        scales: (rows, blocks) float16
        minima: (rows, blocks) float16: a number is ``scale * code + minimum``; None where it is
            ``scale * (code - 2 ** (bits - 1))``
    """

    bits: int
    codes: NDArray[np.uint8]
    scales: NDArray[np.float16]
    minima: NDArray[np.float16] | None


def blocks(model: GgufModel, tensor: GgufTensor) -> Blocks:
    """Return the blocks of a Q4_0, Q4_1 or Q8_0 matrix; every code and scale stays as it is.

    Errors:
        InputError: another format.
    """
    if tensor.type_name not in _BITS or len(tensor.shape) != 2:  # noqa: PLR2004 - a matrix
        raise InputError(
            f"tensor {tensor.name!r}, {tensor.type_name}, has no 32-element blocks",
            hint=f"quantize its matrices to one of {', '.join(_BITS)}",
        )
    columns, rows = tensor.shape
    bits, headers = _BITS[tensor.type_name], _HEADERS[tensor.type_name]
    packed = model.raw(tensor).reshape(rows, columns // BLOCK, 2 * headers + 4 * bits)
    numbers = np.ascontiguousarray(packed[:, :, : 2 * headers]).view("<f2")
    stored = packed[:, :, 2 * headers :]
    minima = numbers[:, :, 1] if headers == 2 else None  # noqa: PLR2004 - scale and minimum
    codes = _interleaved(stored) if bits == 4 else stored ^ _SIGN  # noqa: PLR2004 - 4 or 8
    return Blocks(bits, codes, numbers[:, :, 0], minima)


def _interleaved(halves: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn element order (j, j + 16) per byte into (2j, 2j + 1)."""
    low, high = halves & 0x0F, halves >> 4
    elements = np.concatenate([low, high], axis=-1)
    packed: NDArray[np.uint8] = elements[..., 0::2] | (elements[..., 1::2] << 4)
    return packed


def as_float32(model: GgufModel, tensor: GgufTensor) -> NDArray[np.float32]:
    """Return a tensor of any known type as float32, in row-major order: (rows, columns).

    Errors:
        InputError: a type that cannot be dequantized.
    """
    try:
        kind = GGMLQuantizationType[tensor.type_name]
        numbers = dequantize(model.raw(tensor), kind)
    except (KeyError, NotImplementedError) as error:
        raise InputError(
            f"tensor {tensor.name!r} has the type {tensor.type_name}, which cannot be dequantized",
            hint="convert the model to another quantization",
        ) from error
    return np.asarray(numbers, np.float32).reshape(tensor.shape[::-1])
