"""How many bits codes take: their order-0 entropy, which every coder of packages comes near."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.coded_tensor import CodedTensor

Codes = NDArray[np.int32]

_SMOOTHING = 0.5  # of unseen codes in a table; Krichevsky and Trofimov's estimate
_WIDEST = 1 << 16  # codes further apart are counted by sorting, not in a table, and not priced


def entropy_bits(codes: NDArray[np.integer]) -> float:
    """Return what all ``codes`` together take, in bits.

    >>> entropy_bits(np.array([0, 1, 0, 1]))
    4.0
    """
    if not codes.size:
        return 0.0
    low, high = int(codes.min()), int(codes.max())
    if high - low < _WIDEST:
        counts = np.bincount(codes.ravel().astype(np.int64) - low)
    else:
        counts = np.unique(codes, return_counts=True)[1]
    counts = counts[counts > 0]
    return float(counts.sum() * np.log2(counts.sum()) - (counts * np.log2(counts)).sum())


def price_list(codes: Codes) -> tuple[int, NDArray[np.float32]]:
    """Return the lowest code and the bits of it and of each above, one beyond what was seen.

    Codes so far apart that hardly two are the same all cost the same: 0 then, and 0 alone.
    """
    if int(codes.max()) - int(codes.min()) >= _WIDEST:
        return 0, np.zeros(1, np.float32)
    low = int(codes.min()) - 1
    counts = np.bincount(codes.ravel().astype(np.int64) - low, minlength=2) + _SMOOTHING
    counts = np.append(counts, _SMOOTHING)
    return low, (np.log2(counts.sum()) - np.log2(counts)).astype(np.float32)


def factor_bits(factor: NDArray[np.float32]) -> float:
    """Return what the numbers of a factor take: few different ones are cheap.

    Each different number stands in the file once, in 32 bits; the rest are references to them.
    """
    different, counts = np.unique(factor, return_counts=True)
    references = counts.sum() * np.log2(counts.sum()) - (counts * np.log2(counts)).sum()
    return float(32 * different.size + references)


def tensor_bits(tensor: CodedTensor) -> float:
    """Return what a coded tensor takes: codes, factors, offset."""
    parts = [*tensor.factors, *(() if tensor.offset is None else (tensor.offset,))]
    return entropy_bits(tensor.codes) + sum(factor_bits(part) for part in parts)
