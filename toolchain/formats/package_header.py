"""The header of a model package: what lies where, checked before anything is decoded.

The format is specified in docs/package.md.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from toolchain.errors import ConfigError, FormatError
from toolchain.formats.compression import Codec, decode, encode
from toolchain.tables import check, dump, table

MAGIC = b"VTMODEL1"
HEADER_START = 16  # magic, then encoded and decoded size of the header, 32 bits each

CODECS: tuple[Codec | None, ...] = (None, Codec.BROTLI, Codec.ZSTD)
"""A chunk names its codec by its place here; None: the bytes as they are."""

FORMS = ("plain", "halves", "centred")
"""How items are written before they become planes. ``halves``: two codes from -8 to 7 a byte.
``centred``: 128 is added, so that the upper bytes of codes that are small are zero whatever their
sign, and a few large codes do not make all others dearer."""

MOST_BYTES = (1 << 31) - 1
"""Most bytes of a model and of a decoded chunk: protobuf's limit for one message, so for one ONNX
file. What a hostile package may make us allocate."""

_MOST_HEADER_BYTES = 1 << 24  # ours: the header of 500 tensors has 40,000
_MOST_AXES = 16  # ours: grids have up to 4
_MOST_FACTORS = 8  # ours: one or two are used
_DIGEST_DIGITS = 64
_SIZES = struct.Struct("<II")
_WIDTHS = (1, 2, 4, 8)
_FORM_WIDTHS = (_WIDTHS, (1,), (2, 4))
CODES = {"int8": 1, "uint8": 1, "int16": 2, "int32": 4}
NUMBERS = {"float16": 2, "float32": 4}
# numpy's names of the types a coded tensor may have, with their bytes
TARGETS = {
    "float64": 8, "float32": 4, "float16": 2, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2,
    "int32": 4, "int64": 8, "uint32": 4, "uint64": 8, "bool": 1,
}  # fmt: skip
# float32 holds all numbers of these, so that clipping to their range is exact
ROUNDED = frozenset({"float64", "float32", "float16", "int8", "uint8", "int16", "uint16"})


class Chunk(NamedTuple):
    """One run of encoded bytes; ``size`` is that of its content, whose SHA-256 names it."""

    codec: int  # place in CODECS
    form: int  # of the items: a place in FORMS
    width: int  # bytes of an item: stored as that many planes
    rows: int  # of the matrix that is stored column by column; 1: as it is
    size: int
    encoded: int


class Array(NamedTuple):
    """Numbers inside a chunk's content, little-endian, row-major."""

    chunk: int
    start: int  # bytes
    dtype: str
    shape: tuple[int, ...]


class Plain(NamedTuple):
    """Bytes inside a chunk's content."""

    chunk: int
    start: int
    size: int


class Grid(NamedTuple):
    """A ``coded_tensor.CodedTensor``, less its shape."""

    dtype: str
    codes: Array
    factors: tuple[Array, ...]
    offset: Array | None

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All arrays, codes first."""
        return (self.codes, *self.factors, *(() if self.offset is None else (self.offset,)))

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.codes.shape) * TARGETS[self.dtype]


class Hole(NamedTuple):
    """A tensor's place: before byte ``at`` of the skeleton comes what fills it."""

    position: int  # in the order of onnx_model.tensors
    at: int
    plain: Plain | None
    grid: Grid | None

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return self.grid.size if self.grid else self.plain.size if self.plain else 0

    @property
    def chunks(self) -> set[int]:
        """The chunks it is made of."""
        found = {array.chunk for array in self.grid.arrays} if self.grid else set()
        return found | ({self.plain.chunk} if self.plain else set())


@table
class Header:
    """Everything but the chunks; chunk 0 is the skeleton."""

    chunks: tuple[Chunk, ...]
    digests: str  # SHA-256 of each chunk's content, 64 hexadecimal digits each
    formats: tuple[str, ...]  # execution formats whose result passed the task's guard
    holes: tuple[Hole, ...]  # in file order
    model: str  # SHA-256 of the "folded" model
    size: int  # of that model

    def digest(self, chunk: int) -> str:
        """Return the SHA-256 of a chunk's content."""
        return self.digests[_DIGEST_DIGITS * chunk : _DIGEST_DIGITS * (chunk + 1)]


@dataclass(frozen=True, slots=True)
class Opened:
    """A package's header, and where each chunk lies in the file."""

    header: Header
    starts: tuple[int, ...]


def written(header: Header) -> bytes:
    """Return magic, sizes and header: all that comes before the chunks."""
    text = json.dumps(dump(header), separators=(",", ":"), sort_keys=True).encode()
    packed = encode(text, Codec.BROTLI, 11)
    return MAGIC + _SIZES.pack(len(packed), len(text)) + packed


def read(data: bytes | memoryview) -> Opened:
    """Read and check the header of a package; no chunk is decoded.

    Errors:
        FormatError: not a package, cut, or what the header says cannot be.
    """
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise FormatError("this is no model package", 0)
    if len(data) < HEADER_START:
        raise FormatError("the package is cut", len(data))
    encoded, decoded = _SIZES.unpack(data[len(MAGIC) : HEADER_START])
    if decoded > _MOST_HEADER_BYTES:
        raise FormatError(f"a header of {decoded} bytes", len(MAGIC) + 4)
    end = HEADER_START + encoded
    if end > len(data):
        raise FormatError("the package is cut", len(data))
    header = _parsed(_inflated(data[HEADER_START:end], decoded))
    for problem in _problems(header):
        raise FormatError(f"the package's header is wrong: {problem}", HEADER_START)
    starts = tuple(accumulate((c.encoded for c in header.chunks), initial=end))
    if starts[-1] != len(data):
        what = "cut" if starts[-1] > len(data) else "followed by other bytes"
        raise FormatError(f"the package is {what}", min(starts[-1], len(data)))
    return Opened(header, starts)


def _inflated(data: bytes | memoryview, size: int) -> bytes:
    try:
        return decode(data, Codec.BROTLI, size)
    except FormatError as error:
        raise FormatError("the package's header is damaged", HEADER_START) from error


def _parsed(text: bytes) -> Header:
    try:
        return check(json.loads(text), Header, where="header")
    except (ConfigError, ValueError, RecursionError) as error:
        raise FormatError("the package's header is not understood", HEADER_START) from error


def _problems(header: Header) -> Iterator[str]:
    """Yield what cannot be; numbers are checked before anything is computed from them."""
    if not header.chunks or len(header.digests) != _DIGEST_DIGITS * len(header.chunks):
        yield "not one digest a chunk, the skeleton first"
    for chunk in header.chunks:
        yield from _chunk_problems(chunk)
    yield from _order_problems(header)
    used = {0}.union(*(hole.chunks for hole in header.holes))
    if len(used) != len(header.chunks):
        yield "nothing is made of one of its chunks"
    if header.chunks[0].size + sum(hole.size for hole in header.holes) != header.size:
        yield "its parts are not as large as the model"
    if header.size > MOST_BYTES:
        yield "the model is too large"


def _order_problems(header: Header) -> Iterator[str]:
    at = 0
    for hole in header.holes:
        yield from _hole_problems(hole, header)
        if not at <= hole.at <= header.chunks[0].size:
            yield f"tensor {hole.position} is not in file order"
        at = hole.at
    if len({hole.position for hole in header.holes}) != len(header.holes):
        yield "a tensor is there twice"


def _chunk_problems(chunk: Chunk) -> Iterator[str]:
    if not 0 <= chunk.codec < len(CODECS):
        yield f"codec {chunk.codec}"
    if not 0 <= chunk.form < len(FORMS) or chunk.width not in _WIDTHS or chunk.rows < 1:
        yield "a chunk is laid out in no known way"
    if not (0 <= chunk.size <= MOST_BYTES and 0 <= chunk.encoded <= MOST_BYTES):
        yield "a chunk is too large"
    elif chunk.size % (chunk.width * chunk.rows) or chunk.width not in _FORM_WIDTHS[chunk.form]:
        yield "a chunk does not fit its layout"


def _hole_problems(hole: Hole, header: Header) -> Iterator[str]:
    if hole.position < 0 or (hole.plain is None) == (hole.grid is None):
        yield f"tensor {hole.position} is nothing"
    if hole.plain is not None:
        yield from _range_problems(hole.plain.chunk, hole.plain.start, hole.plain.size, header)
    if hole.grid is not None:
        yield from _grid_problems(hole.grid, header)


def _grid_problems(grid: Grid, header: Header) -> Iterator[str]:
    if grid.dtype not in TARGETS or len(grid.factors) > _MOST_FACTORS:
        yield f"a coded {grid.dtype} with {len(grid.factors)} factors"
    for place, array in enumerate(grid.arrays):
        kinds = NUMBERS if place else CODES
        if array.dtype not in kinds:
            yield f"an array of {array.dtype}"
        if len(array.shape) > _MOST_AXES or any(not 0 <= n <= MOST_BYTES for n in array.shape):
            yield "an array of an impossible shape"
        size = math.prod(array.shape) * kinds.get(array.dtype, 1)
        yield from _range_problems(array.chunk, array.start, size, header)
        if array.start % kinds.get(array.dtype, 1):
            yield "an array is not aligned"
        if not _broadcasts(array.shape, grid.codes.shape):
            yield f"{array.shape} does not broadcast to {grid.codes.shape}"
    if len(grid.arrays) > 1 and grid.dtype not in ROUNDED:
        yield f"a scaled {grid.dtype}"


def _range_problems(chunk: int, start: int, size: int, header: Header) -> Iterator[str]:
    if not 0 <= chunk < len(header.chunks):
        yield f"there is no chunk {chunk}"
    elif start < 0 or size < 0 or start + size > header.chunks[chunk].size:
        yield f"a tensor leaves chunk {chunk}"


def _broadcasts(shape: tuple[int, ...], grid: tuple[int, ...]) -> bool:
    """Whether numpy would stretch ``shape`` to exactly ``grid``."""
    if len(shape) > len(grid):
        return False
    return all(n in {1, m} for n, m in zip(reversed(shape), reversed(grid), strict=False))
