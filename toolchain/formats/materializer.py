"""Makes the ONNX model that runs ("folded") from a package: the same bytes everywhere.

Specified in docs/package.md; ``materialize.mjs`` beside this file does the same in JavaScript.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import FormatError
from toolchain.formats import chunk_coding, coded_tensor, package_header
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.package_header import Array, Grid, Header, Hole
from toolchain.progress import SILENT, Progress


def materialize(package: bytes | memoryview, *, progress: Progress = SILENT) -> bytes:
    """Return the model: every tensor decoded, in its own type.

    Errors:
        FormatError: ``package`` is none, it is damaged, or the model is not the one it promises.

    Cost: the model's size and some four times its largest tensor in memory.
    """
    whole = io.BytesIO()
    for piece in pieces(package, progress=progress):
        whole.write(piece)
    return whole.getvalue()


def pieces(package: bytes | memoryview, *, progress: Progress = SILENT) -> Iterator[bytes]:
    """Yield the model piece by piece; that it is the promised one is known at the end.

    Errors:
        FormatError: as ``materialize``.
    """
    reader = Reader.open(package)
    digest, done = hashlib.sha256(), 0
    for piece in reader.pieces():
        digest.update(piece)
        done += len(piece)
        progress.update("materializing", done, reader.header.size, "byte")
        yield piece
    if digest.hexdigest() != reader.header.model:
        raise FormatError("the model is not the one that the header promises", 0)


def digest(header: Header, bodies: Sequence[bytes]) -> str:
    """Return the SHA-256 of the model that chunks make, for its packer."""
    found = hashlib.sha256()
    for piece in Reader(header, bodies, (0,) * len(bodies)).pieces():
        found.update(piece)
    return found.hexdigest()


@dataclass
class Reader:
    """An opened package; each chunk is decoded when it is needed and dropped after its last use."""

    header: Header
    bodies: Sequence[bytes | memoryview]
    starts: Sequence[int]
    _contents: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def open(cls, package: bytes | memoryview) -> Reader:
        """Read the header.

        Errors:
            FormatError: ``package`` is none, cut, or its header is wrong.
        """
        opened = package_header.read(package)
        view, starts = memoryview(package), opened.starts
        bodies = [view[a:b] for a, b in pairwise(starts)]
        return cls(opened.header, bodies, starts)

    def pieces(self) -> Iterator[bytes]:
        """Yield skeleton and tensors in file order."""
        skeleton, at = self.content(0), 0
        waiting = Counter(chunk for hole in self.header.holes for chunk in hole.chunks)
        for hole in self.header.holes:
            yield skeleton[at : hole.at]
            at = hole.at
            yield self._filling(hole)
            waiting.subtract(hole.chunks)
            for chunk in hole.chunks:
                if not waiting[chunk]:
                    self._contents.pop(chunk, None)
        yield skeleton[at:]

    def content(self, chunk: int) -> bytes:
        """Return a chunk's content.

        Errors:
            FormatError: it is damaged.
        """
        if chunk not in self._contents:
            self._contents[chunk] = chunk_coding.decoded(
                self.header.chunks[chunk],
                self.bodies[chunk],
                self.header.digest(chunk),
                at=self.starts[chunk],
            )
        return self._contents[chunk]

    def coded(self, grid: Grid, shape: tuple[int, ...]) -> CodedTensor:
        """Return a coded tensor of ``shape``, its numbers not yet computed."""
        codes = cast("NDArray[np.integer]", self._array(grid.codes))  # the header was checked
        factors = tuple(self._array(f).astype(np.float32) for f in grid.factors)
        offset = None if grid.offset is None else self._array(grid.offset).astype(np.float32)
        return CodedTensor(codes, shape, grid.dtype, factors, offset)

    def _filling(self, hole: Hole) -> bytes:
        if hole.plain is not None:
            start, size = hole.plain.start, hole.plain.size
            return self.content(hole.plain.chunk)[start : start + size]
        assert hole.grid is not None  # noqa: S101 - the header was checked
        tensor = self.coded(hole.grid, hole.grid.codes.shape)
        with np.errstate(all="ignore"):  # what overflows is infinite, as specified
            numbers = coded_tensor.decoded(tensor)
        return numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()

    def _array(self, array: Array) -> NDArray[np.generic]:
        dtype = np.dtype(array.dtype).newbyteorder("<")
        count = int(np.prod(array.shape, dtype=np.int64))
        numbers = np.frombuffer(self.content(array.chunk), dtype, count, array.start)
        return numbers.reshape(array.shape).astype(array.dtype, copy=False)
