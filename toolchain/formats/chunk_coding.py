"""Encodes the content of a package's chunk: its layout, then its codec; the smallest found wins.

Content is plain bytes, little-endian and row-major; how it is laid out for the codec is the
chunk's own affair, so equal content has one digest. The format is specified in docs/package.md.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import FormatError
from toolchain.formats import compression
from toolchain.formats.compression import Codec
from toolchain.formats.package_header import CODECS, FORMS, Chunk


class Effort(StrEnum):
    """How hard to try: ``FAST`` for the loops of a search, ``FULL`` for what ships."""

    FAST = "fast"
    FULL = "full"


_LEVELS = {
    Effort.FAST: {Codec.BROTLI: 5, Codec.ZSTD: 3},
    Effort.FULL: {Codec.BROTLI: 11, Codec.ZSTD: 19},
}
# Larger content: only the best two layouts, or the best one, of a trial at brotli 5 are encoded in
# earnest, so that packing costs about what brotli 11 costs.
_ALL_TRIED_BYTES = 1 << 16
_TWO_TRIED_BYTES = 1 << 20
_TRIAL_QUALITY = 5
_LARGE_BYTES = 1 << 18
_LARGE_QUALITY = 10  # a quarter faster than 11 and within 0.1 % of it on codes of this size
_LOW, _HIGH = -8, 7  # what four bits hold
_PLAIN, _HALVES, _CENTRED = range(len(FORMS))
_CENTRE = 128


@dataclass(frozen=True, slots=True)
class Content:
    """What a chunk holds, and what the encoder may know about it.

    ``shape`` is that of the items (``width`` bytes each); matrices of them are tried turned.
    """

    data: bytes
    width: int = 1
    shape: tuple[int, ...] = ()
    codes: bool = False


@dataclass(frozen=True, slots=True)
class _Layout:
    form: int = _PLAIN
    width: int = 1
    rows: int = 1


def encoded(content: Content, effort: Effort, codecs: Sequence[Codec]) -> tuple[Chunk, bytes]:
    """Return the smallest encoding found, as a chunk and its bytes."""
    laid = [(layout, _laid_out(content.data, layout)) for layout in _layouts(content)]
    if effort is Effort.FULL and len(laid) > 1 and len(content.data) > _ALL_TRIED_BYTES:
        laid.sort(key=lambda one: len(compression.encode(one[1], Codec.BROTLI, _TRIAL_QUALITY)))
        del laid[1 if len(content.data) > _TWO_TRIED_BYTES else 2 :]
    best: tuple[Chunk, bytes] | None = None
    for layout, packed in laid:
        for codec, body in _coded(packed, effort, codecs):
            if best is None or len(body) < len(best[1]):
                best = _chunk(CODECS.index(codec), layout, content, body), body
    assert best is not None  # noqa: S101 - "as they are" is always among them
    return best


def _chunk(codec: int, layout: _Layout, content: Content, body: bytes) -> Chunk:
    return Chunk(codec, layout.form, layout.width, layout.rows, len(content.data), len(body))


def decoded(chunk: Chunk, body: bytes | memoryview, digest: str, *, at: int = 0) -> bytes:
    """Return a chunk's content; ``at`` is where it lies in the file.

    Errors:
        FormatError: ``body`` is damaged, or not what ``digest`` names.
    """
    size = -(-chunk.size // 2) if chunk.form == _HALVES else chunk.size
    codec = CODECS[chunk.codec]
    try:
        packed = bytes(body) if codec is None else compression.decode(body, codec, size)
    except FormatError as error:
        raise FormatError("a damaged chunk", at) from error
    if len(packed) != size:
        raise FormatError("a chunk that is not of its size", at)
    content = _plain(packed, chunk)
    if hashlib.sha256(content).hexdigest() != digest:
        raise FormatError("a chunk that is not what its digest names", at)
    return content


def _coded(
    packed: bytes, effort: Effort, codecs: Sequence[Codec]
) -> Iterator[tuple[Codec | None, bytes]]:
    yield None, packed
    for codec in codecs:
        level = _LEVELS[effort][codec]
        if codec is Codec.BROTLI and len(packed) > _LARGE_BYTES:
            level = min(level, _LARGE_QUALITY)
        yield codec, compression.encode(packed, codec, level)


def _layouts(content: Content) -> Iterator[_Layout]:
    """Yield the layouts worth trying: matrices turned at each axis, half bytes where they hold."""
    items = len(content.data) // content.width
    axes = range(1, len(content.shape)) if math.prod(content.shape) == items else ()
    turned = [math.prod(content.shape[:axis]) for axis in axes]
    for rows in dict.fromkeys((1, *(rows for rows in turned if 1 < rows < items))):
        yield _Layout(_PLAIN, content.width, rows)
        if content.codes and content.width > 1:
            yield _Layout(_CENTRED, content.width, rows)
        elif content.codes and _fits_half(content):
            yield _Layout(_HALVES, content.width, rows)
    if content.width > 1:
        yield _Layout()


def _fits_half(content: Content) -> bool:
    if not content.data:
        return False
    codes = np.frombuffer(content.data, np.int8)
    return bool(codes.min() >= _LOW and codes.max() <= _HIGH)


def _laid_out(data: bytes, layout: _Layout) -> bytes:
    """Return ``data`` as the codec gets it: columns, then the form, then planes."""
    items: NDArray[np.uint8] = np.frombuffer(data, np.uint8).reshape(-1, layout.width)
    if layout.rows > 1:
        turned = items.reshape(layout.rows, -1, layout.width).swapaxes(0, 1)
        items = turned.reshape(-1, layout.width)
    if layout.form == _CENTRED:
        items = _shifted(items, _CENTRE)
    flat: NDArray[np.uint8] = np.ascontiguousarray(items.T).reshape(-1)
    if layout.form == _HALVES:
        pairs = np.concatenate([flat, np.zeros(flat.size % 2, np.uint8)]).reshape(-1, 2) & 15
        flat = np.bitwise_or(pairs[:, 0], pairs[:, 1] << 4, dtype=np.uint8)
    return flat.tobytes()


def _plain(packed: bytes, chunk: Chunk) -> bytes:
    """Undo ``_laid_out``."""
    if (chunk.form, chunk.width, chunk.rows) == (_PLAIN, 1, 1):
        return packed
    flat: NDArray[np.uint8] = np.frombuffer(packed, np.uint8)
    if chunk.form == _HALVES:
        pairs = np.stack([flat & 15, flat >> 4], 1).reshape(-1)[: chunk.size]
        flat = np.subtract(pairs ^ 8, 8, dtype=np.uint8)  # the sign of four bits, now of eight
    items = np.ascontiguousarray(flat.reshape(chunk.width, -1).T)
    if chunk.form == _CENTRED:
        items = _shifted(items, -_CENTRE)
    if chunk.rows == 1:
        return items.tobytes()
    return items.reshape(-1, chunk.rows, chunk.width).swapaxes(0, 1).tobytes()


def _shifted(items: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """Return items of several bytes each, ``by`` added modulo their range."""
    width = items.shape[1]
    numbers: NDArray[np.int16] | NDArray[np.int32] = items.view(f"<i{width}")
    with np.errstate(over="ignore"):
        numbers = numbers + numbers.dtype.type(by)
    return numbers.view(np.uint8).reshape(-1, width)
