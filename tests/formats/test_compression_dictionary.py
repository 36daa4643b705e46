"""Deltas: what comes back, what every client can decode, what is refused."""

from __future__ import annotations

import hashlib
import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats.compression_dictionary import (
    decode_delta,
    dictionary_of,
    encode_delta,
    window_limit,
)

_OLD = b"".join(b"export const value%d = compute(%d);\n" % (i, i * i) for i in range(2000))
_NEW = _OLD.replace(b"value77 ", b"answer77 ") + b"export const more = 1;\n"
_MB = 1 << 20


@given(st.binary(max_size=400), st.binary(max_size=400), st.sampled_from([3, 12, 22]))
def test_a_delta_gives_back_any_file_whatever_the_dictionary(
    data: bytes, dictionary: bytes, level: int
) -> None:
    delta = encode_delta(data, dictionary, level)
    assert decode_delta(delta, dictionary, len(data)) == data
    assert delta == encode_delta(data, dictionary, level)


def test_a_delta_begins_as_the_rfc_says_and_is_much_smaller_than_the_file() -> None:
    delta = encode_delta(_NEW, _OLD, 19)
    assert delta[:8].hex() == "5e2a4d1820000000"
    assert delta[8:40] == hashlib.sha256(_OLD).digest()
    assert dictionary_of(delta) == hashlib.sha256(_OLD).hexdigest()
    assert len(delta) < 150
    assert len(zstandard.compress(_NEW, 19)) > 1000


def test_the_header_is_a_frame_that_zstd_decoders_skip() -> None:
    whole = zstandard.ZstdCompressionDict(_OLD, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    reader = zstandard.ZstdDecompressor(dict_data=whole).decompressobj()
    assert reader.decompress(encode_delta(_NEW, _OLD, 19)) == b""  # the skipped frame is one frame
    rest = zstandard.ZstdDecompressor(dict_data=whole).decompressobj()
    assert rest.decompress(reader.unused_data) == _NEW


@pytest.mark.parametrize(
    ("dictionary", "size", "window"),
    [
        (1000, 2 * _MB, 2 * _MB),  # all of it
        (1000, 8 * _MB, 8 * _MB),
        (1000, 9 * _MB, 8 * _MB),  # more than the limit: a power of two below it
        (8 * _MB, 9 * _MB, 9 * _MB),  # 10 MB are allowed
        (8 * _MB, 11 * _MB, 8 * _MB),
        (14 * _MB, 18 * _MB, 16 * _MB),  # 17.5 MB are allowed
    ],
)
def test_no_window_is_larger_than_a_client_must_have(
    dictionary: int, size: int, window: int
) -> None:
    noise = random.Random(1).randbytes(size)  # noqa: S311 - a fixed seed makes the same test every time
    old = noise[:dictionary]
    delta = encode_delta(noise, old, 1)
    assert (
        zstandard.get_frame_parameters(delta[40:]).window_size == window <= window_limit(len(old))
    )
    assert decode_delta(delta, old, size) == noise


def test_a_frame_with_a_larger_window_is_refused_though_zstd_could_decode_it() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=24)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compress(bytes(9 * _MB))
    delta = encode_delta(b"", _OLD, 3)[:40] + frame
    with pytest.raises(FormatError, match="with a window of 9437184, not"):
        decode_delta(delta, _OLD, 9 * _MB)


def test_the_wrong_dictionary_a_wrong_size_and_any_damage_are_refused_or_harmless() -> None:
    delta = encode_delta(_NEW, _OLD, 19)
    with pytest.raises(FormatError, match="another dictionary"):
        decode_delta(delta, _OLD + b"\n", len(_NEW))
    with pytest.raises(FormatError, match="bytes"):
        decode_delta(delta, _OLD, len(_NEW) - 1)
    with pytest.raises(FormatError, match="begins"):
        dictionary_of(delta[:39])
    for at in range(len(delta)):
        broken = bytearray(delta)
        broken[at] ^= 0x10
        try:
            decoded = decode_delta(bytes(broken), _OLD, len(_NEW))
        except FormatError:
            continue
        assert len(decoded) == len(_NEW)
    for end in range(0, len(delta), 7):
        with pytest.raises(FormatError):
            decode_delta(delta[:end], _OLD, len(_NEW))
