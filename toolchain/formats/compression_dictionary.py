"""A file compressed against another one that the client has: ``dcz``, dictionary-compressed zstd.

The layout and the limit of the window are those of RFC 9842, "Compression Dictionary Transport",
section 5: eight fixed bytes and the SHA-256 of the dictionary (together a zstd frame that decoders
skip), then a zstd frame made with the whole dictionary as raw content.
"""

from __future__ import annotations

import hashlib

import zstandard

from toolchain.errors import FormatError
from toolchain.ir import Digest

DCZ = "dcz"
"""The ``Content-Encoding`` token."""

_SUFFIX = ".dcz"
_NAME_DIGITS = 16  # of the dictionary's hash: a file has few predecessors

_MAGIC = bytes.fromhex("5e2a4d1820000000")
_HEADER_BYTES = len(_MAGIC) + hashlib.sha256().digest_size
_WINDOW_BYTES = 8 << 20  # every client has this much room
_WINDOW_MAX_BYTES = 128 << 20
_WINDOW_BITS_MIN = 10  # ZSTD_WINDOWLOG_MIN


def window_limit(dictionary_bytes: int) -> int:
    """Return the largest window, in bytes, that a client must be able to decode.

    >>> window_limit(0) >> 20, window_limit(16 << 20) >> 20, window_limit(1 << 30) >> 20
    (8, 20, 128)
    """
    return min(max(_WINDOW_BYTES, dictionary_bytes * 5 // 4), _WINDOW_MAX_BYTES)


def encode_delta(data: bytes, dictionary: bytes, level: int) -> bytes:
    """Return ``data`` as ``dcz`` against ``dictionary``; the same input gives the same bytes.

    Behind the window zstd no longer sees the dictionary, so the window is as large as the data
    where the limit allows it.
    """
    limit = window_limit(len(dictionary))
    bits = len(data).bit_length()
    if len(data) > limit:
        bits = limit.bit_length() - 1  # the largest power of two that is no more than the limit
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=max(bits, _WINDOW_BITS_MIN),
        source_size=len(data),
        dict_size=len(dictionary),
    )
    compressor = zstandard.ZstdCompressor(dict_data=_raw(dictionary), compression_params=parameters)
    head = _MAGIC + hashlib.sha256(dictionary).digest()
    return head + compressor.compress(data)


def delta_name(file: str, dictionary: Digest) -> str:
    """Return what the delta of ``file`` against ``dictionary`` is called.

    >>> delta_name("a.js", Digest("0123456789abcdef" * 4))
    'a.js.0123456789abcdef.dcz'
    """
    return f"{file}.{dictionary[:_NAME_DIGITS]}{_SUFFIX}"


def dictionary_of(delta: bytes) -> Digest:
    """Return which dictionary ``delta`` was made with.

    Errors:
        FormatError: not the beginning of a ``dcz`` stream.
    """
    if delta[: len(_MAGIC)] != _MAGIC or len(delta) < _HEADER_BYTES:
        raise FormatError("no dcz stream begins like this", 0)
    return Digest(delta[len(_MAGIC) : _HEADER_BYTES].hex())


def decode_delta(delta: bytes, dictionary: bytes, size: int) -> bytes:
    """Return the ``size`` bytes that ``delta`` stands for, as a client with little room does.

    Errors:
        FormatError: not dcz, made with another dictionary, not of ``size`` bytes, damaged, or with
        a window that clients need not have.
    """
    if dictionary_of(delta) != hashlib.sha256(dictionary).hexdigest():
        raise FormatError("made with another dictionary", len(_MAGIC))
    frame = delta[_HEADER_BYTES:]
    limit = window_limit(len(dictionary))
    try:
        head = zstandard.get_frame_parameters(frame)
        if head.content_size != size or head.window_size > limit:
            raise FormatError(
                f"a frame of {head.content_size} bytes with a window of {head.window_size}, "
                f"not of {size} bytes with a window of {limit} at most",
                _HEADER_BYTES,
            )
        opened = zstandard.ZstdDecompressor(dict_data=_raw(dictionary), max_window_size=limit)
        return opened.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"not a zstd frame ({error})", _HEADER_BYTES) from error


def _raw(dictionary: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
