"""Real compressed sizes and the compressed files that ship: gzip, brotli, zstd, deterministic.

All three codecs release the interpreter lock while they work (measured: a second thread never
waits longer than 5 ms during a second of compression), so a pool of threads is enough.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import brotli
import deflate
import zopfli.gzip
import zstandard

from toolchain.errors import FormatError
from toolchain.ir import Sizes
from toolchain.units import Bytes

Buffer = bytes | memoryview


class Codec(StrEnum):
    """A compressed encoding browsers accept; the value is its ``Content-Encoding`` token."""

    GZIP = "gzip"
    BROTLI = "br"
    ZSTD = "zstd"


SUFFIX = {Codec.GZIP: ".gz", Codec.BROTLI: ".br", Codec.ZSTD: ".zst"}


@dataclass(frozen=True, slots=True)
class Levels:
    """How hard each codec tries."""

    gzip: int
    brotli: int
    zstd: int


ANALYSIS = Levels(gzip=5, brotli=4, zstd=3)
"""For what compresses: about what servers do on the fly. libdeflate's level 5 makes files of the
size of zlib's level 6 (within 1 % on wasm); brotli 4 and zstd 3 are the usual dynamic levels.
Measured on the reference application (2 cores at 2.5 GHz, MB/s per core): gzip 104-150, brotli
55-106 on wasm, ELF and JS, zstd 300-370."""

DENSE_ANALYSIS = Levels(gzip=1, brotli=2, zstd=3)
"""For what hardly compresses (weights, audio): on 4-bit and 8-bit weights these levels come within
0.9 % of ``ANALYSIS`` (brotli 0.801 for 0.796, gzip 0.805 for 0.801 of the raw size) at
145 (gzip) and 230 (brotli) MB/s. Half of the reference application is weights, so this is what
keeps its cold analysis under ten seconds."""

DENSE_RATIO = 0.6
"""Data is dense where zstd 3 leaves more than this share of it. Ours: wasm, JS and ELF are at
0.20-0.33, weights at 0.67-0.80, so the border runs through the gap. It depends on the bytes alone,
so that equal bytes always have equal sizes."""

SHIPPING = Levels(gzip=12, brotli=11, zstd=19)
"""The best each codec does within what every client can decode. zstd stays at 19: it is the last
level whose window fits the 8 MB that RFC 9659 grants to ``Content-Encoding: zstd``."""

_WIDE_WINDOW_BYTES = 4_000_000  # 2**22 less 16 bytes is brotli's default window

_local = threading.local()


def level_names() -> tuple[tuple[str, str], ...]:
    """Return each codec and how its analysis sizes are made, for reports.

    >>> level_names()[2]
    ('zstd', 'level 3')
    """
    dense = f"where zstd leaves more than {DENSE_RATIO:.0%}"
    return (
        ("gzip", f"level {ANALYSIS.gzip}; level {DENSE_ANALYSIS.gzip} {dense}"),
        ("brotli", f"quality {ANALYSIS.brotli}; quality {DENSE_ANALYSIS.brotli} {dense}"),
        ("zstd", f"level {ANALYSIS.zstd}"),
    )


def sizes(data: Buffer) -> Sizes:
    """Return the raw size of ``data`` and what each codec really makes of it.

    Cost: 30 ns a byte of code, 13 ns a byte of weights (see ``ANALYSIS``).

    >>> sizes(b"")
    Sizes(raw=0, gzip=23, brotli=1, zstd=9)
    """
    zstd = len(_fast_zstd().compress(data))
    levels = DENSE_ANALYSIS if zstd > DENSE_RATIO * len(data) else ANALYSIS
    return Sizes(
        raw=Bytes(len(data)),
        gzip=Bytes(len(deflate.gzip_compress(data, levels.gzip))),
        brotli=Bytes(len(brotli.compress(data, quality=levels.brotli))),
        zstd=Bytes(zstd),
    )


def _fast_zstd() -> zstandard.ZstdCompressor:
    """One compressor a thread: making one costs more than compressing 500 bytes."""
    if not hasattr(_local, "zstd"):
        _local.zstd = zstandard.ZstdCompressor(level=ANALYSIS.zstd)
    found: zstandard.ZstdCompressor = _local.zstd
    return found


def encode(data: Buffer, codec: Codec, level: int) -> bytes:
    """Return ``data`` compressed; the same bytes always give the same result.

    No time stamp, no name, no checksum beyond gzip's own; brotli's window is 16 MB where the data
    is larger than the usual 4 MB window.
    """
    if codec is Codec.GZIP:
        return bytes(deflate.gzip_compress(data, level))
    if codec is Codec.BROTLI:
        window = 24 if len(data) > _WIDE_WINDOW_BYTES else 22
        return bytes(brotli.compress(data, quality=level, lgwin=window))
    return zstandard.ZstdCompressor(level=level).compress(data)


@lru_cache(maxsize=64)
def shipped_size(data: bytes) -> int:
    """Return the bytes of ``data`` in brotli as it ships; 119 kB of a bundle take 0.13 s.

    Remembered, since the files of one build are counted in several ways.
    """
    return len(encode(data, Codec.BROTLI, SHIPPING.brotli))


def zopfli_gzip(data: bytes, rounds: int) -> bytes:
    """Return ``data`` as the smallest gzip that ``rounds`` of zopfli's search find."""
    return bytes(zopfli.gzip.compress(data, numiterations=rounds))


def decode(data: Buffer, codec: Codec, size: int) -> bytes:
    """Return the ``size`` bytes that ``data`` encodes; memory stays within ``size`` and a bit.

    gzip is read by zlib, not by the library that wrote it.

    Errors:
        FormatError: not a complete stream of that codec, or not of ``size`` bytes.
    """
    try:
        found = _DECODERS[codec](data, size + 1)
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise FormatError(f"not a {codec} stream ({error})", 0) from error
    if len(found) != size:
        more = "more" if len(found) > size else "less"
        raise FormatError(f"{codec} stream holds {more} than {size} bytes", len(found))
    return found


def _gunzip(data: Buffer, limit: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)  # 16 + 15: a gzip header and the full window
    found = stream.decompress(data, limit)
    if len(found) < limit and (not stream.eof or stream.unused_data):
        raise zlib.error("cut short or followed by other bytes")
    return found


def _unbrotli(data: Buffer, limit: int) -> bytes:
    stream = brotli.Decompressor()
    found = stream.process(data, output_buffer_limit=limit)
    chunks = [found]
    while sum(map(len, chunks)) < limit and not stream.is_finished():
        more = stream.process(b"", output_buffer_limit=limit)
        if not more:
            raise brotli.error("cut short")
        chunks.append(more)
    return b"".join(chunks)[:limit]


def _unzstd(data: Buffer, limit: int) -> bytes:
    declared = zstandard.get_frame_parameters(data).content_size
    if declared >= limit:  # as is a frame that declares nothing: encode() always does
        raise zstandard.ZstdError(f"declares {declared} bytes")
    return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)


_DECODERS: dict[Codec, Callable[[Buffer, int], bytes]] = {
    Codec.GZIP: _gunzip,
    Codec.BROTLI: _unbrotli,
    Codec.ZSTD: _unzstd,
}
