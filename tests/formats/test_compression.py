"""Compressed sizes are real, streams are real, and reading them back is strict."""

from __future__ import annotations

import gzip
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import brotli
import pytest
import zstandard
from growth import cpu_s
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats.compression import (
    ANALYSIS,
    DENSE_ANALYSIS,
    SHIPPING,
    Codec,
    decode,
    encode,
    sizes,
)

_LEVEL = {
    Codec.GZIP: SHIPPING.gzip,
    Codec.BROTLI: SHIPPING.brotli,
    Codec.ZSTD: SHIPPING.zstd,
}
_TEXT = b"".join(b"export const value%d = compute(%d);\n" % (i, i * i) for i in range(3000))
_NOISE = random.Random(1).randbytes(50_000)  # noqa: S311 - a fixed seed makes the same test every time

data = st.binary(max_size=300) | st.sampled_from([b"", b"a" * 70_000, _TEXT, _NOISE])


@given(data, st.sampled_from(list(Codec)))
def test_what_ships_decodes_to_what_was_given(given_bytes: bytes, codec: Codec) -> None:
    made = encode(given_bytes, codec, min(_LEVEL[codec], 9))
    assert decode(made, codec, len(given_bytes)) == given_bytes


@pytest.mark.parametrize("codec", list(Codec))
def test_the_highest_level_is_readable_by_everybody(codec: Codec) -> None:
    made = encode(_TEXT, codec, _LEVEL[codec])
    readers = {
        Codec.GZIP: gzip.decompress,
        Codec.BROTLI: brotli.decompress,
        Codec.ZSTD: zstandard.decompress,
    }
    assert readers[codec](made) == _TEXT


@pytest.mark.parametrize("codec", list(Codec))
def test_equal_bytes_give_equal_streams_in_any_thread_and_buffer(codec: Codec) -> None:
    first = encode(_TEXT, codec, 9)
    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda b: encode(b, codec, 9), [_TEXT, memoryview(_TEXT)] * 4))
    assert set(others) == {first}


def test_gzip_carries_no_time_and_no_name() -> None:
    header = encode(_TEXT, Codec.GZIP, 12)[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00"  # deflate, no optional fields
    assert header[4:8] == b"\0\0\0\0"  # no modification time


def test_zstd_window_is_what_browsers_accept() -> None:
    big = _NOISE * 400  # 20 MB: more than any window
    frame = zstandard.get_frame_parameters(encode(big, Codec.ZSTD, SHIPPING.zstd))
    assert frame.window_size <= 8 * 1024 * 1024  # RFC 9659


def test_sizes_are_those_of_the_documented_levels() -> None:
    found = sizes(_TEXT)
    assert found.raw == len(_TEXT)
    assert found.gzip == len(encode(_TEXT, Codec.GZIP, ANALYSIS.gzip))
    assert found.brotli == len(brotli.compress(_TEXT, quality=ANALYSIS.brotli))
    assert found.zstd == len(zstandard.compress(_TEXT, ANALYSIS.zstd))


def test_dense_data_is_measured_at_the_fast_levels() -> None:
    dense = _NOISE + _TEXT[:40_000]  # so that the levels differ
    found = sizes(dense)
    assert found.gzip == len(encode(dense, Codec.GZIP, DENSE_ANALYSIS.gzip))
    assert found.gzip > len(encode(dense, Codec.GZIP, ANALYSIS.gzip))
    assert found.brotli == len(brotli.compress(dense, quality=DENSE_ANALYSIS.brotli))
    assert found.brotli != len(brotli.compress(dense, quality=ANALYSIS.brotli))


def test_brotli_sees_repetition_six_megabytes_back() -> None:
    far = _NOISE + bytes(6_000_000) + _NOISE
    assert len(encode(far, Codec.BROTLI, 5)) < 1.1 * len(_NOISE)


def test_measuring_one_thing_does_not_change_the_next() -> None:
    before = sizes(_TEXT)
    sizes(_NOISE)
    assert sizes(memoryview(_TEXT)) == before


@pytest.mark.parametrize("codec", list(Codec))
def test_other_threads_run_while_a_codec_works(codec: Codec) -> None:
    # a third of a second at least for every codec: a busy machine lets a thread wait for long
    big = bytes(random.Random(1).choices(b"abcdefgh", k=2_000_000))  # noqa: S311 - a fixed seed
    ended = threading.Event()

    def work() -> None:
        encode(big, codec, _LEVEL[codec] if codec is not Codec.BROTLI else 9)
        ended.set()

    turns = 0
    worker = threading.Thread(target=work)
    worker.start()
    while not ended.is_set():
        turns += 1
        time.sleep(0.001)
    worker.join(timeout=60)
    assert turns > 5  # a codec that held the lock would leave one or two


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("cut", [1, 2, 5, 100])
def test_a_stream_cut_short_is_refused(codec: Codec, cut: int) -> None:
    made = encode(_TEXT, codec, 5)
    with pytest.raises(FormatError):
        decode(made[:-cut], codec, len(_TEXT))


@pytest.mark.parametrize("codec", list(Codec))
def test_another_length_than_expected_is_refused(codec: Codec) -> None:
    made = encode(_TEXT, codec, 5)
    for size in (0, len(_TEXT) - 1, len(_TEXT) + 1):
        with pytest.raises(FormatError):
            decode(made, codec, size)


@pytest.mark.parametrize("codec", list(Codec))
def test_garbage_is_refused(codec: Codec) -> None:
    for seed in range(40):
        garbage = random.Random(seed).randbytes(seed * 7)  # noqa: S311 - a fixed seed
        with pytest.raises(FormatError):
            decode(garbage, codec, 5000)


@pytest.mark.parametrize("codec", list(Codec))
def test_bytes_behind_the_stream_are_refused(codec: Codec) -> None:
    with pytest.raises(FormatError):
        decode(encode(_TEXT, codec, 5) + b"more", codec, len(_TEXT))


def test_a_bomb_is_not_unpacked_to_be_refused() -> None:
    bomb = encode(bytes(200_000_000), Codec.BROTLI, 5)

    def refused() -> None:
        with pytest.raises(FormatError, match="more than 1000 bytes"):
            decode(bomb, Codec.BROTLI, 1000)

    assert cpu_s(refused) < cpu_s(lambda: brotli.decompress(bomb), 1) / 4
