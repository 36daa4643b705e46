r"""Reads safetensors files: metadata, and tensors with the byte range of each.

Layout: the size of the header (8 bytes), the header as JSON, the tensors' bytes without a gap. No
size is trusted before it is compared with the bytes that are there, and no weight is copied.

Source: the format's description (huggingface/safetensors, README.md, "Format"). What it forbids is
refused here too: a name twice, holes, overlaps, a size that is not that of the shape.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import FormatError
from toolchain.formats.model_inventory import StoredTensor

LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 2**24  # ours: 100,000 tensors take 12 MB; the reference stops at 100 MB
_METADATA = "__metadata__"
_MOST_DIMENSIONS = 64  # ours: as numpy has
_LARGEST = 2**63  # no size of a dimension has more bits
_CHUNK = 2**20  # numbers compared at once
_LIKENESS_BYTES = 256  # what begins differently is not compared
_MOST_ALIKE = 8  # ours: tensors that begin alike and differ; more are hostile

# dtype -> our name of it and bits
_TYPES: Mapping[str, tuple[str, int]] = {
    "BOOL": ("bool", 8),
    "U8": ("uint8", 8),
    "I8": ("int8", 8),
    "U16": ("uint16", 16),
    "I16": ("int16", 16),
    "U32": ("uint32", 32),
    "I32": ("int32", 32),
    "U64": ("uint64", 64),
    "I64": ("int64", 64),
    "F16": ("float16", 16),
    "BF16": ("bfloat16", 16),
    "F32": ("float32", 32),
    "F64": ("float64", 64),
    "C64": ("complex64", 64),
    "F8_E4M3": ("float8e4m3fn", 8),
    "F8_E5M2": ("float8e5m2", 8),
    "F8_E8M0": ("float8e8m0", 8),
    "F6_E2M3": ("float6e2m3", 6),
    "F6_E3M2": ("float6e3m2", 6),
    "F4": ("float4e2m1", 4),
}


@dataclass(frozen=True, slots=True)
class Safetensors:
    """What a file holds; the header ends where the tensors begin."""

    metadata: Mapping[str, str]
    # in the order of their bytes; of a type unknown to us ``elements`` is 0
    tensors: tuple[StoredTensor, ...]
    header_end: int
    data: memoryview = field(repr=False)

    def raw(self, tensor: StoredTensor) -> memoryview:
        """Return the bytes of ``tensor``, without copying."""
        return self.data[tensor.start : tensor.end]

    def is_half(self, tensor: StoredTensor) -> bool:
        """Return whether float16 holds every number of a float32 tensor.

        Cost: one pass, which ends at the first number that does not fit.
        """
        if tensor.dtype != "float32" or not tensor.elements:
            return False
        numbers: NDArray[np.float32] = np.frombuffer(self.raw(tensor), "<f4")
        with np.errstate(over="ignore", invalid="ignore"):
            return all(
                np.array_equal(part.astype(np.float16), part, equal_nan=True)
                for part in (numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK))
            )

    def copies(self) -> list[tuple[StoredTensor, StoredTensor]]:
        """Return the tensors whose type, shape and bytes are those of an earlier one, with it."""
        seen: dict[tuple[str, tuple[int, ...], bytes], list[StoredTensor]] = {}
        found = []
        for tensor in (t for t in self.tensors if t.end > t.start):
            key = tensor.dtype, tensor.shape, bytes(self.raw(tensor)[:_LIKENESS_BYTES])
            alike = seen.setdefault(key, [])
            first = next((t for t in alike if self._same(t, tensor)), None)
            if first is not None:
                found.append((tensor, first))
            elif len(alike) < _MOST_ALIKE:
                alike.append(tensor)
        return found

    def _same(self, one: StoredTensor, other: StoredTensor) -> bool:
        a, b = (np.frombuffer(self.raw(tensor), np.uint8) for tensor in (one, other))
        return np.array_equal(a, b)


def read(data: bytes | memoryview) -> Safetensors:
    """Return what the file holds.

    Errors:
        FormatError: not safetensors, cut, or a header that the format forbids.
    """
    view = memoryview(data)
    if len(view) < LENGTH_BYTES:
        raise FormatError("not a safetensors file: it is too short", 0)
    size = struct.unpack("<Q", view[:LENGTH_BYTES])[0]
    if size > _MOST_HEADER_BYTES:
        raise FormatError(f"a header of {size} bytes is too large", 0)
    header_end = LENGTH_BYTES + size
    if header_end > len(view):
        raise FormatError(f"the header of {size} bytes does not fit into the file", 0)
    header = _parsed(bytes(view[LENGTH_BYTES:header_end]))
    metadata = _metadata(header.pop(_METADATA, {}))
    tensors = [_tensor(name, entry, header_end, len(view)) for name, entry in header.items()]
    tensors.sort(key=lambda t: (t.start, t.end))
    _refuse_gaps(tensors, header_end, len(view))
    return Safetensors(metadata, tuple(tensors), header_end, view)


def _parsed(header: bytes) -> dict[str, Any]:
    if header[:1] != b"{":
        raise FormatError("the header is no JSON object", LENGTH_BYTES)
    try:
        parsed = json.loads(
            header, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_refuse
        )
    except json.JSONDecodeError as error:
        at = LENGTH_BYTES + len(error.doc[: error.pos].encode())
        raise FormatError(f"the header is no JSON ({error.msg})", at) from error
    except (ValueError, RecursionError) as error:
        reason = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise FormatError(f"the header cannot be: {reason},", LENGTH_BYTES) from error
    assert isinstance(parsed, dict)  # noqa: S101 - for the type checker; it starts with a brace
    return parsed


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {twice!r} is there twice")
    return found


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no size")


def _metadata(entry: object) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise FormatError(f"{_METADATA!r} is no table of texts", LENGTH_BYTES)
    return entry


def _tensor(name: str, entry: object, header_end: int, end: int) -> StoredTensor:
    dtype, shape, offsets = _described(name, entry)
    known, bits = _TYPES.get(dtype, (dtype, 0))
    start, stop = (header_end + offset for offset in offsets)
    if not start <= stop <= end:
        raise FormatError(f"tensor {name!r} lies outside the file, described", LENGTH_BYTES)
    elements = math.prod(shape) if bits else 0
    if bits and elements * bits != (stop - start) * 8:
        raise FormatError(
            f"tensor {name!r}, {dtype}{list(shape)}, does not fit its {stop - start} bytes, "
            "described",
            LENGTH_BYTES,
        )
    return StoredTensor(name, known, shape, start, stop, elements)


def _described(name: str, entry: object) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    if isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        fits = isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(offsets)
        if fits and len(offsets) == 2:  # noqa: PLR2004 - start and end
            return dtype, tuple(shape), tuple(offsets)
    raise FormatError(f"tensor {name!r} is not described by type, shape and offsets", LENGTH_BYTES)


def _are_sizes(values: object) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= _MOST_DIMENSIONS
        and all(type(v) is int and 0 <= v < _LARGEST for v in values)
    )


def _refuse_gaps(tensors: Sequence[StoredTensor], start: int, end: int) -> None:
    borders = [start, *(at for tensor in tensors for at in (tensor.start, tensor.end)), end]
    names = ["the header", *(tensor.name for tensor in tensors), "the end of the file"]
    ends = list(zip(borders[::2], borders[1::2], strict=True))
    for (stop, begin), (before, after) in zip(ends, pairwise(names), strict=True):
        if begin != stop:
            what = "overlap" if begin < stop else "have a hole between them"
            raise FormatError(f"{before!r} and {after!r} {what}", min(begin, stop))
