"""How each of GGUF's block formats keeps its codes, scales and minima in bytes.

Formats with a 0 or 1 in their name have blocks of 32 with float16 scales. K-quants have
super-blocks of 256: a float16 for all, an integer for each block of 16 or 32.

Source: ggml's block structures (ggml-common.h) and their dequantization (ggml-quants.c).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_MIDDLE_4, _MIDDLE_8 = 8, 128


@dataclass(frozen=True, slots=True)
class Factors:
    """A number for each block: ``coarse``, or ``coarse * fine``, which float32 holds exactly.

    Shapes:
        coarse: (rows, blocks) float16; with ``fine``: (rows, super-blocks, 1)
        fine: (rows, super-blocks, blocks in each) int8 or uint8
    """

    coarse: NDArray[np.float16]
    fine: NDArray[np.integer] | None = None

    def numbers(self) -> NDArray[np.float32]:
        """Return (rows, blocks)."""
        wide = self.coarse.astype(np.float32)
        if self.fine is None:
            return wide
        exact: NDArray[np.float32] = wide * self.fine.astype(np.float32)
        return exact.reshape(len(exact), -1)


Parts = tuple[Bytes, Factors, Factors | None]


@dataclass(frozen=True, slots=True)
class Layout:
    """``read`` turns (rows, n, size) bytes into codes (rows, blocks, block), scales and minima."""

    elements: int
    size: int  # bytes for so many elements
    bits: int  # that a code is stored in: 4 or 8
    zero: int  # the code of the number 0, before the minimum is added
    read: Callable[[Bytes], Parts]


def _halves(stored: Bytes, at: int) -> NDArray[np.float16]:
    """Return the float16 at byte ``at`` of each block, (rows, n)."""
    found: NDArray[np.float16] = np.ascontiguousarray(stored[:, :, at : at + 2]).view("<f2")[
        :, :, 0
    ]
    return found


def _nibbles(stored: Bytes) -> Bytes:
    """Return (..., 2 * n) codes of (..., n) bytes: all low halves, then all high halves."""
    return np.concatenate([stored & 0x0F, stored >> np.uint8(4)], axis=-1)


def _bits(stored: Bytes) -> Bytes:
    """Return (rows, n, 32) bits of (rows, n, 4) bytes, the lowest first."""
    return np.unpackbits(stored, axis=-1, bitorder="little")


def _q4_0(stored: Bytes) -> Parts:
    return _nibbles(stored[:, :, 2:]), Factors(_halves(stored, 0)), None


def _q4_1(stored: Bytes) -> Parts:
    return _nibbles(stored[:, :, 4:]), Factors(_halves(stored, 0)), Factors(_halves(stored, 2))


def _q5_0(stored: Bytes) -> Parts:
    codes = _nibbles(stored[:, :, 6:]) | (_bits(stored[:, :, 2:6]) << np.uint8(4))
    return codes + np.uint8(_MIDDLE_8 - 16), Factors(_halves(stored, 0)), None


def _q5_1(stored: Bytes) -> Parts:
    codes = _nibbles(stored[:, :, 8:]) | (_bits(stored[:, :, 4:8]) << np.uint8(4))
    return (
        codes + np.uint8(_MIDDLE_8),
        Factors(_halves(stored, 0)),
        Factors(_halves(stored, 2)),
    )


def _q8_0(stored: Bytes) -> Parts:
    # flipping the sign bit turns int8 into the same number plus 128
    return stored[:, :, 2:] ^ np.uint8(0x80), Factors(_halves(stored, 0)), None


def _planes(stored: Bytes, width: int, bits: int) -> Bytes:
    """Return the codes of a super-block, (rows, n, 256).

    Each run of ``width`` bytes holds one code of ``bits`` bits of as many runs of ``width``
    codes, the first in the lowest bits.
    """
    rows, count, _ = stored.shape
    runs = stored.reshape(rows, count, -1, 1, width)
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(-1, 1)
    return ((runs >> shifts) & np.uint8((1 << bits) - 1)).reshape(rows, count, -1)


def _in_blocks(codes: Bytes, block: int) -> Bytes:
    return codes.reshape(len(codes), -1, block)


def _scaled(stored: Bytes, at: int, fine: NDArray[np.integer]) -> Factors:
    return Factors(_halves(stored, at)[:, :, None], fine)


def _six_bits(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Return the eight scales and eight minima that 12 bytes hold, (rows, n, 8) each."""
    first, second, rest = packed[..., 0:4], packed[..., 4:8], packed[..., 8:12]
    scales = np.concatenate([first & 0x3F, (rest & 0x0F) | ((first >> 2) & 0x30)], axis=-1)
    minima = np.concatenate(
        [second & 0x3F, (rest >> np.uint8(4)) | ((second >> 2) & 0x30)], axis=-1
    )
    return scales, minima


def _less(factors: Factors) -> Factors:
    """Return the negative: K-quants subtract their minima."""
    return Factors(-factors.coarse, factors.fine)


def _q2_k(stored: Bytes) -> Parts:
    packed = stored[:, :, :16]
    codes = _planes(stored[:, :, 16:80], 32, 2) + np.uint8(_MIDDLE_4)
    scales = _scaled(stored, 80, packed & 0x0F)
    return _in_blocks(codes, 16), scales, _less(_scaled(stored, 82, packed >> np.uint8(4)))


def _q3_k(stored: Bytes) -> Parts:
    high = _planes(stored[:, :, :32], 32, 1)  # a set bit: nothing is taken off
    codes = _planes(stored[:, :, 32:96], 32, 2) + (high << np.uint8(2)) + np.uint8(_MIDDLE_4 - 4)
    low = _nibbles(stored[:, :, 96:104])
    scales = low | (_planes(stored[:, :, 104:108], 4, 2) << np.uint8(4))
    signed = (scales - np.uint8(32)).view(np.int8)
    return _in_blocks(codes, 16), _scaled(stored, 108, signed), None


def _q4_k(stored: Bytes) -> Parts:
    scales, minima = _six_bits(stored[:, :, 4:16])
    codes = _planes(stored[:, :, 16:], 32, 4)
    return _in_blocks(codes, 32), _scaled(stored, 0, scales), _less(_scaled(stored, 2, minima))


def _q5_k(stored: Bytes) -> Parts:
    scales, minima = _six_bits(stored[:, :, 4:16])
    codes = _planes(stored[:, :, 48:], 32, 4) | (_planes(stored[:, :, 16:48], 32, 1) << np.uint8(4))
    return (
        _in_blocks(codes + np.uint8(_MIDDLE_8), 32),
        _scaled(stored, 0, scales),
        _less(_scaled(stored, 2, minima)),
    )


def _q6_k(stored: Bytes) -> Parts:
    codes = _planes(stored[:, :, :128], 64, 4) | (
        _planes(stored[:, :, 128:192], 32, 2) << np.uint8(4)
    )
    scales = np.ascontiguousarray(stored[:, :, 192:208]).view(np.int8)
    return _in_blocks(codes + np.uint8(_MIDDLE_8 - 32), 16), _scaled(stored, 208, scales), None


LAYOUTS: Mapping[str, Layout] = {
    "Q4_0": Layout(32, 18, 4, _MIDDLE_4, _q4_0),
    "Q4_1": Layout(32, 20, 4, 0, _q4_1),
    "Q5_0": Layout(32, 22, 8, _MIDDLE_8, _q5_0),
    "Q5_1": Layout(32, 24, 8, _MIDDLE_8, _q5_1),
    "Q8_0": Layout(32, 34, 8, _MIDDLE_8, _q8_0),
    "Q2_K": Layout(256, 84, 4, _MIDDLE_4, _q2_k),
    "Q3_K": Layout(256, 110, 4, _MIDDLE_4, _q3_k),
    "Q4_K": Layout(256, 144, 4, 0, _q4_k),
    "Q5_K": Layout(256, 176, 8, _MIDDLE_8, _q5_k),
    "Q6_K": Layout(256, 210, 8, _MIDDLE_8, _q6_k),
}
