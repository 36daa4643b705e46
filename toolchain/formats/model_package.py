"""Packs an ONNX model as it travels: a skeleton, integer codes, and what has to be exact.

``pack`` and ``unpack``; ``materializer`` makes the model from it. Specified in docs/package.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import FormatError
from toolchain.formats import chunk_coding, materializer, model_template, package_header
from toolchain.formats.chunk_coding import Content, Effort
from toolchain.formats.coded_tensor import CodedTensor, decoded
from toolchain.formats.compression import Codec
from toolchain.formats.execution_format import FOLDED
from toolchain.formats.model_template import Slot
from toolchain.formats.package_header import (
    ROUNDED,
    TARGETS,
    Array,
    Chunk,
    Grid,
    Header,
    Hole,
    Plain,
)
from toolchain.formats.tensor_types import BITS
from toolchain.progress import SILENT, Progress

_SMALL_BYTES = 2048  # ours: below, a chunk's own digest and dictionary cost more than they give
_STAYS_BYTES = 64  # ours: below, a tensor stays in the skeleton
_CODES = ("int8", "uint8", "int16", "int32")


@dataclass(frozen=True)
class Unpacked:
    """A package taken apart."""

    model: bytes  # "folded"
    coded: Mapping[int, CodedTensor]  # by position in onnx_model.tensors(model)
    formats: tuple[str, ...]


def pack(  # noqa: PLR0913 - how hard, with what, for whom: each by name
    model: bytes,
    coded: Mapping[int, CodedTensor],
    *,
    effort: Effort = Effort.FULL,
    formats: Sequence[str] = (FOLDED,),
    codecs: Sequence[Codec] = (Codec.BROTLI,),
    progress: Progress = SILENT,
) -> bytes:
    """Return ``model`` as a package in which the tensors ``coded`` are codes, all others exact.

    Keys of ``coded`` are positions in ``onnx_model.tensors(model)``. With nothing coded,
    ``materialize`` gives back ``model`` byte for byte, unless it is written as no exporter does.
    brotli alone by default: node before 22.15 and browsers have no zstd.

    Errors:
        FormatError: ``model`` is not ONNX.
        InputError: its weights lie in another file.
        ValueError: a coded tensor is not of the type and shape of the one it stands for, or its
            factors are not finite (a mistake of the caller).

    Cost: brotli on all weights, 2 s a MB; ``Effort.FAST`` 0.1 s a MB.
    """
    used = {position: tensor for position, tensor in coded.items() if tensor.codes.size}
    data, slots = model_template.opened(model, frozenset(used))
    for position, tensor in used.items():
        _check(position, tensor, slots)
    chest = _Chest()
    holes: list[Hole] = []
    skeleton = bytearray()
    copied = 0
    for position, slot in _in_file_order(slots):
        if position not in used and slot.end - slot.start < _STAYS_BYTES:
            continue
        skeleton += data[copied : slot.start]
        copied = slot.end
        if position in used:
            holes.append(Hole(position, len(skeleton), None, chest.grid(used[position])))
        else:
            holes.append(Hole(position, len(skeleton), chest.plain(data, slot), None))
    skeleton += data[copied:]
    return _assembled(bytes(skeleton), holes, chest, (tuple(formats), effort, codecs, progress))


def unpack(package: bytes) -> Unpacked:
    """Take a package apart: what it was packed from, codes in their narrowest type.

    Errors:
        FormatError: ``package`` is none, or it is damaged.
    """
    model = materializer.materialize(package)
    slots = model_template.slots(memoryview(model))
    reader = materializer.Reader.open(package)
    coded = {}
    for hole in reader.header.holes:
        slot = slots[hole.position] if hole.position < len(slots) else None
        if hole.grid is not None:
            if slot is None or (slot.dtype, slot.end - slot.start) != (hole.grid.dtype, hole.size):
                raise FormatError(f"tensor {hole.position} is not in the skeleton", 0)
            coded[hole.position] = reader.coded(hole.grid, slot.shape)
    return Unpacked(model, coded, reader.header.formats)


def encoded_size(
    tensor: CodedTensor, effort: Effort = Effort.FAST, codecs: Sequence[Codec] = (Codec.BROTLI,)
) -> int:
    """Return the bytes that ``tensor`` adds to a package: the rate of a search.

    What it shares with other tensors is not known here, and the header's 40 bytes are left out.
    """
    chest = _Chest()
    chest.grid(tensor)
    return sum(len(body) for _, body in chest.encoded(effort, codecs, SILENT))


@dataclass
class _Chest:
    """The contents of the chunks after the skeleton, while a package is packed.

    Equal large arrays share a chunk; small ones lie together, by kind.
    """

    contents: list[Content | _Group] = field(default_factory=list)
    known: dict[bytes | tuple[int, bool], int] = field(default_factory=dict)

    def grid(self, tensor: CodedTensor) -> Grid:
        """Put a coded tensor in; return where its arrays lie."""
        codes = self._array(narrowest(tensor.codes), codes=True)
        numbers = (*tensor.factors, *(() if tensor.offset is None else (tensor.offset,)))
        arrays = tuple(self._array(_half_where_exact(n), codes=False) for n in numbers)
        factors, offset = (arrays, None) if tensor.offset is None else (arrays[:-1], arrays[-1])
        return Grid(tensor.dtype, codes, factors, offset)

    def plain(self, model: bytes, slot: Slot) -> Plain:
        """Put an exact tensor in; return where it lies."""
        data = model[slot.start : slot.end]
        width = max(1, BITS.get(slot.dtype, 8) // 8)
        if width not in {1, 2, 4, 8} or len(data) % width:
            width = 1
        chunk, start = self._place(Content(data, width, slot.shape if width > 1 else ()))
        return Plain(chunk, start, len(data))

    def encoded(
        self, effort: Effort, codecs: Sequence[Codec], progress: Progress
    ) -> list[tuple[Chunk, bytes]]:
        """Return all chunks, in order."""
        contents = [c.content() if isinstance(c, _Group) else c for c in self.contents]
        total = sum(len(c.data) for c in contents)
        found, done = [], 0
        for content in contents:
            found.append(chunk_coding.encoded(content, effort, codecs))
            done += len(content.data)
            progress.update("packing", done, total, "byte")
        return found

    def digests(self) -> list[str]:
        """Return the names of all contents, in order."""
        contents = (c.content() if isinstance(c, _Group) else c for c in self.contents)
        return [hashlib.sha256(content.data).hexdigest() for content in contents]

    def _array(self, numbers: NDArray[np.generic], *, codes: bool) -> Array:
        plain = numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()
        content = Content(plain, numbers.dtype.itemsize, numbers.shape, codes)
        chunk, start = self._place(content)
        return Array(chunk, start, numbers.dtype.name, numbers.shape)

    def _place(self, content: Content) -> tuple[int, int]:
        if len(content.data) >= _SMALL_BYTES:
            return self._chunk(hashlib.sha256(content.data).digest(), content), 0
        chunk = self._chunk((content.width, content.codes), _Group(content.width, content.codes))
        group = self.contents[chunk - 1]
        assert isinstance(group, _Group)  # noqa: S101 - keys that are pairs are groups
        return chunk, group.place(content.data)

    def _chunk(self, key: bytes | tuple[int, bool], content: Content | _Group) -> int:
        """Return the chunk of ``key``, a new one with ``content`` if there is none."""
        if key not in self.known:
            self.contents.append(content)
            self.known[key] = len(self.contents)  # chunk 0 is the skeleton
        return self.known[key]


@dataclass
class _Group:
    """Small arrays of one kind in one chunk; equal ones once."""

    width: int
    codes: bool
    data: bytearray = field(default_factory=bytearray)
    places: dict[bytes, int] = field(default_factory=dict)

    def place(self, data: bytes) -> int:
        """Return where ``data`` lies, at its end if it is new."""
        if data not in self.places:
            self.places[data] = len(self.data)
            self.data += data
        return self.places[data]

    def content(self) -> Content:
        """Return the chunk's content."""
        count = len(self.data) // self.width
        return Content(bytes(self.data), self.width, (count,), self.codes)


def narrowest(codes: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return ``codes`` in the narrowest type a package has for them.

    >>> narrowest(np.array([0, 200])).dtype, narrowest(np.array([-1, 200])).dtype
    (dtype('uint8'), dtype('int16'))

    Errors:
        ValueError: a code does not fit in 32 bits.
    """
    low, high = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    for name in _CODES:
        bounds = np.iinfo(name)
        if bounds.min <= low and high <= bounds.max:
            return codes.astype(name)
    raise ValueError(f"codes from {low} to {high} do not fit in 32 bits")


def _half_where_exact(numbers: NDArray[np.float32]) -> NDArray[np.generic]:
    """Return ``numbers`` as float16 if that loses nothing."""
    with np.errstate(over="ignore"):
        half = numbers.astype(np.float16)
    return half if half.astype(np.float32).tobytes() == numbers.tobytes() else numbers


def _in_file_order(slots: Sequence[Slot]) -> list[tuple[int, Slot]]:
    """Return the slots with plain bytes, by their place in the file."""
    return sorted(((i, s) for i, s in enumerate(slots) if s.start >= 0), key=lambda p: p[1].start)


def _check(position: int, tensor: CodedTensor, slots: Sequence[Slot]) -> None:
    """Refuse a coded tensor that cannot stand for the one at ``position``."""
    if not 0 <= position < len(slots):
        raise ValueError(f"the model has {len(slots)} tensors, so none at {position}")
    slot = slots[position]
    if (tensor.dtype, tensor.shape) != (slot.dtype, slot.shape):
        raise ValueError(
            f"{tensor.dtype}{list(tensor.shape)} stands for {slot.dtype}{list(slot.shape)}"
        )
    if slot.end - slot.start != tensor.codes.size * TARGETS.get(tensor.dtype, 0):
        raise ValueError(f"a tensor of {tensor.dtype} cannot be coded")
    numbers = (*tensor.factors, *(() if tensor.offset is None else (tensor.offset,)))
    if numbers and tensor.dtype not in ROUNDED:
        raise ValueError(f"{tensor.dtype} is exact: codes without factors")
    if not all(np.isfinite(n).all() for n in numbers):
        raise ValueError("factors and offsets have to be finite")
    if len(numbers) > 1 and not _is_finite(tensor):
        raise ValueError("factors and offset overflow: infinite times zero has many bit patterns")


def _is_finite(tensor: CodedTensor) -> bool:
    with np.errstate(all="ignore"):
        exact = decoded(replace(tensor, dtype="float32"))
    return bool(np.isfinite(exact).all())


def _assembled(
    skeleton: bytes,
    holes: Sequence[Hole],
    chest: _Chest,
    how: tuple[tuple[str, ...], Effort, Sequence[Codec], Progress],
) -> bytes:
    formats, effort, codecs, progress = how
    content = Content(skeleton)
    chunks = [
        chunk_coding.encoded(content, effort, codecs),
        *chest.encoded(effort, codecs, progress),
    ]
    digests = [hashlib.sha256(skeleton).hexdigest(), *chest.digests()]
    header = Header(
        chunks=tuple(chunk for chunk, _ in chunks),
        digests="".join(digests),
        formats=formats,
        holes=tuple(holes),
        model="",
        size=len(skeleton) + sum(hole.size for hole in holes),
    )
    bodies = [body for _, body in chunks]
    model = materializer.digest(header, bodies)
    return package_header.written(replace(header, model=model)) + b"".join(bodies)
