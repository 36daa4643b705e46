"""Reads GGUF model files: metadata and tensors, with the byte range of each.

Layout: magic, version, two counts (24 bytes); the metadata, key by key; one description per
tensor; padding to ``general.alignment``; the tensors' bytes. Nothing is copied, no length is
trusted before it is compared with the bytes that are left.

Source: the GGUF specification (ggml, docs/gguf.md), versions 2 and 3; what it leaves open is
answered as llama.cpp does (no nested arrays, no key twice, at most four dimensions).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from toolchain.errors import FormatError

Value = int | float | bool | str | tuple[str, ...] | NDArray[np.generic]

MAGIC = b"GGUF"
HEADER_BYTES = 24
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_STRING = 8
_ARRAY = 9
_BOOL = 7
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", _BOOL: "?"}
_SCALARS |= {10: "Q", 11: "q", 12: "d"}
_SMALLEST_STRING_BYTES = 8  # its length
_SMALLEST_ENTRY_BYTES = 8 + 4 + 1  # an empty key, a type, one byte
_SMALLEST_TENSOR_BYTES = 8 + 4 + 4 + 8  # an empty name, no dimensions, a type, an offset


@dataclass(frozen=True, slots=True)
class GgufEntry:
    """Where one metadata key and its value lie."""

    key: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor. ``shape`` is in ggml's order: the first dimension is contiguous.

    ``size`` is 0 where the type is unknown to us (``type_name`` is then ``type 99``).
    """

    name: str
    type_name: str
    shape: tuple[int, ...]
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """How many numbers the tensor holds."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count


@dataclass(frozen=True, slots=True)
class GgufModel:
    """What a GGUF file holds; ``tensor_infos`` is the (start, end) of their descriptions."""

    version: int
    metadata: Mapping[str, Value]
    entries: tuple[GgufEntry, ...]
    tensors: tuple[GgufTensor, ...]
    tensor_infos: tuple[int, int]
    data: memoryview = field(repr=False)

    def text(self, key: str) -> str:
        """Return a string value; empty where there is none."""
        value = self.metadata.get(key, "")
        return value if isinstance(value, str) else ""

    def raw(self, tensor: GgufTensor) -> NDArray[np.uint8]:
        """Return the bytes of ``tensor``, (size,), without copying."""
        return np.frombuffer(self.data, np.uint8, tensor.size, tensor.offset)


def read(data: bytes | memoryview) -> GgufModel:
    """Return what the file holds.

    Errors:
        FormatError: not GGUF, another version or byte order, cut, or a length, type, name or
            offset that cannot be.
    """
    view = memoryview(data)
    if view[:4] != MAGIC:
        raise FormatError("not a GGUF model", 0)
    cursor = _Cursor(view, 4)
    version = int(cursor.scalar("I"))
    if version not in _VERSIONS:
        raise FormatError(_about_version(version), 4, hint="convert it to GGUF version 3")
    tensor_count = cursor.count(_SMALLEST_TENSOR_BYTES)
    entry_count = cursor.count(_SMALLEST_ENTRY_BYTES)
    metadata: dict[str, Value] = {}
    entries = [_entry(cursor, metadata) for _ in range(entry_count)]
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise FormatError(f"the alignment {alignment!r} is not a power of two", cursor.at)
    start = cursor.at
    infos = [_tensor(cursor) for _ in range(tensor_count)]
    first_byte = -(-cursor.at // alignment) * alignment
    tensors = tuple(_placed(info, first_byte, alignment, len(view)) for info in infos)
    _refuse_overlaps(tensors, [at for _, at in infos])
    return GgufModel(version, metadata, tuple(entries), tensors, (start, cursor.at), view)


def _about_version(version: int) -> str:
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if swapped in _VERSIONS:
        return "this GGUF model is big-endian, which is not supported,"
    return f"GGUF version {version} is not supported,"


@dataclass(slots=True)
class _Cursor:
    """Reads forward; every length is checked against what is left."""

    view: memoryview
    at: int

    def take(self, size: int) -> memoryview:
        if size > len(self.view) - self.at:
            raise FormatError(f"{size} bytes are missing", self.at)
        self.at += size
        return self.view[self.at - size : self.at]

    def scalar(self, code: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]
        return value

    def count(self, smallest_bytes: int) -> int:
        """Read a count of things that take at least ``smallest_bytes`` each."""
        start = self.at
        count = int(self.scalar("Q"))
        if count * smallest_bytes > len(self.view) - self.at:
            raise FormatError(f"a count of {count} does not fit into the file", start)
        return count

    def string(self) -> str:
        # surrogateescape: what is not UTF-8 survives a round trip
        return bytes(self.take(self.count(1))).decode("utf-8", "surrogateescape")

    def value(self, type_id: int) -> Value:
        if type_id == _STRING:
            return self.string()
        if type_id == _ARRAY:
            return self.array()
        if type_id in _SCALARS:
            return self.scalar(_SCALARS[type_id])
        raise FormatError(f"unknown value type {type_id}", self.at)

    def array(self) -> Value:
        start = self.at
        type_id = int(self.scalar("I"))
        if type_id == _STRING:
            return tuple(self.string() for _ in range(self.count(_SMALLEST_STRING_BYTES)))
        if type_id not in _SCALARS:
            raise FormatError(f"an array of value type {type_id} is not supported", start)
        dtype = np.dtype(f"<{_SCALARS[type_id]}" if type_id != _BOOL else "?")
        count = self.count(dtype.itemsize)
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)


def _entry(cursor: _Cursor, metadata: dict[str, Value]) -> GgufEntry:
    start = cursor.at
    key = cursor.string()
    if key in metadata:
        raise FormatError(f"the key {key!r} appears twice", start)
    metadata[key] = cursor.value(int(cursor.scalar("I")))
    return GgufEntry(key, start, cursor.at - start)


def _tensor(cursor: _Cursor) -> tuple[GgufTensor, int]:
    """Read one description; the offset is still relative to the first tensor byte."""
    start = cursor.at
    name = cursor.string()
    dimensions = int(cursor.scalar("I"))
    if dimensions > _MAX_DIMENSIONS:
        raise FormatError(f"tensor {name!r} has {dimensions} dimensions", start)
    shape = tuple(int(cursor.scalar("Q")) for _ in range(dimensions))
    type_id = int(cursor.scalar("I"))
    offset = int(cursor.scalar("Q"))
    if type_id not in GGML_QUANT_SIZES:
        return GgufTensor(name, f"type {type_id}", shape, offset, 0), start
    kind = GGMLQuantizationType(type_id)
    block, block_bytes = GGML_QUANT_SIZES[kind]
    tensor = GgufTensor(name, kind.name, shape, offset, 0)
    if (shape[0] if shape else 1) % block:
        raise FormatError(f"a row of tensor {name!r} is not whole {kind.name} blocks", start)
    size = tensor.elements // block * block_bytes
    return GgufTensor(name, kind.name, shape, offset, size), start


def _placed(info: tuple[GgufTensor, int], first_byte: int, alignment: int, end: int) -> GgufTensor:
    tensor, described_at = info
    offset = first_byte + tensor.offset
    if tensor.offset % alignment:
        raise FormatError(f"the offset of tensor {tensor.name!r} is not aligned", described_at)
    if offset + tensor.size > end:
        raise FormatError(
            f"tensor {tensor.name!r} runs past the end of the file, described", described_at
        )
    return GgufTensor(tensor.name, tensor.type_name, tensor.shape, offset, tensor.size)


def _refuse_overlaps(tensors: tuple[GgufTensor, ...], described_at: list[int]) -> None:
    names: set[str] = set()
    for tensor, at in zip(tensors, described_at, strict=True):
        if tensor.name in names:
            raise FormatError(f"the tensor {tensor.name!r} is described twice", at)
        names.add(tensor.name)
    placed = sorted(zip(tensors, described_at, strict=True), key=lambda p: (p[0].offset, p[0].size))
    for (before, _), (after, at) in pairwise(placed):
        if before.offset + before.size > after.offset:
            raise FormatError(f"tensor {after.name!r} overlaps {before.name!r}, described", at)
