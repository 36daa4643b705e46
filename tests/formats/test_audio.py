"""Wav files of every width come back as they were; files that lie are refused where they lie."""

from __future__ import annotations

import contextlib
import struct
import time

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from toolchain.errors import FormatError, InputError
from toolchain.formats.audio import Audio, read_wav, resample, write_wav


def wav(
    body: bytes, *, tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16
) -> bytes:
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def sine(hz: float, rate: int, seconds: float = 0.25) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


GOOD = wav(struct.pack("<8h", 0, 1, -1, 2, 32767, -32768, 3, 4))

words = st.integers(-(2**31), 2**31 - 1)


@given(st.lists(st.integers(-(2**15), 2**15 - 1)), st.integers(1_000, 768_000))
def test_sixteen_bits_survive_reading_and_writing_exactly(values: list[int], rate: int) -> None:
    data = wav(struct.pack(f"<{len(values)}h", *values), rate=rate)
    assert write_wav(read_wav(data)) == data


@pytest.mark.parametrize("size", [0, 2**32 - 1], ids=["stopped", "piped"])
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_recording_whose_length_was_never_written_is_read_to_the_end(size: int, cut: int) -> None:
    """As ffmpeg writes to a pipe, and what a recorder leaves behind that was killed."""
    number = struct.pack("<I", size)
    data = GOOD[:4] + number + GOOD[8:40] + number + GOOD[44 : len(GOOD) - cut]
    whole = read_wav(GOOD).samples
    np.testing.assert_array_equal(read_wav(data).samples, whole[: len(whole) - (cut + 1) // 2])


def test_a_wav_without_sound_is_empty() -> None:
    assert read_wav(wav(b"")).seconds == 0
    assert len(read_wav(wav(b"", rate=48_000)).at(16_000).samples) == 0


def test_half_an_hour_is_read_and_resampled_in_bounded_time() -> None:
    start = time.process_time()
    half_hour = wav(np.zeros(30 * 60 * 11_025, "<i2").tobytes(), rate=11_025)
    assert len(read_wav(half_hour).at(16_000).samples) == 30 * 60 * 16_000
    assert time.process_time() - start < 60


@given(st.lists(words), st.sampled_from([8, 16, 24, 32]))
def test_every_width_has_the_same_full_scale(values: list[int], bits: int) -> None:
    narrow = [v >> (32 - bits) for v in values]
    body = b"".join(
        (v + 128 if bits == 8 else v).to_bytes(bits // 8, "little", signed=bits > 8) for v in narrow
    )
    expected = np.array([v / 2 ** (bits - 1) for v in narrow], np.float32)
    np.testing.assert_array_equal(read_wav(wav(body, bits=bits)).samples, expected)


@given(st.lists(st.floats(-64, 64, width=32)), st.sampled_from([32, 64]))
def test_floats_are_taken_as_they_are(values: list[float], bits: int) -> None:
    read = read_wav(wav(np.array(values, f"<f{bits // 8}").tobytes(), tag=3, bits=bits))
    np.testing.assert_array_equal(read.samples, np.array(values, np.float32))


def test_channels_are_averaged() -> None:
    stereo = struct.pack("<4h", 16384, 0, -16384, -16384)
    assert read_wav(wav(stereo, channels=2)).samples.tolist() == [0.25, -0.5]


def test_what_is_too_loud_is_clipped_not_wrapped_round() -> None:
    loud = read_wav(write_wav(Audio(np.array([2.0, -2.0], np.float32), 16_000))).samples
    assert loud.tolist() == [32767 / 32768, -1.0]


def test_chunks_that_nobody_asked_for_are_skipped_with_their_padding() -> None:
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    data = GOOD[:12] + odd + GOOD[12:]
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    np.testing.assert_array_equal(read_wav(data).samples, read_wav(GOOD).samples)


def extensible(body: bytes) -> bytes:
    """Return a wav of floats whose format is in the GUID of its sub-format."""
    plain = wav(body, tag=3, bits=32)
    fmt = struct.pack("<H", 0xFFFE) + plain[22:36] + struct.pack("<HHI", 22, 32, 0)
    fmt += struct.pack("<H", 3) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", 40) + fmt + plain[36:]
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_extensible_format_is_read_by_its_sub_format() -> None:
    body = np.array([0.5, -0.25], "<f4").tobytes()
    assert read_wav(extensible(body)).samples.tolist() == [0.5, -0.25]


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_file_cut_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(FormatError):
        read_wav(GOOD[:cut])


@given(st.binary(max_size=200))
def test_noise_is_not_a_wav(noise: bytes) -> None:
    with pytest.raises(FormatError, match="no RIFF/WAVE header"):
        read_wav(noise)


@given(st.integers(8, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_sound_or_an_error_we_know(at: int, value: int) -> None:
    data = GOOD[:at] + bytes([value]) + GOOD[at + 1 :]
    with contextlib.suppress(InputError):  # any other exception fails the test
        assert len(read_wav(data).samples) <= len(GOOD)


@seed(16_000)
@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(4, 67), st.integers(0, 255)), max_size=6))
def test_headers_full_of_lies_give_sound_or_an_error_we_know(lies: list[tuple[int, int]]) -> None:
    data = bytearray(extensible(np.array([0.5, -0.25], "<f4").tobytes()))
    for at, value in lies:
        data[at] = value
    with contextlib.suppress(InputError):  # any other exception fails the test
        read = read_wav(bytes(data))
        assert len(read.samples) <= 8
        assert np.isfinite(read.samples).all()


def patched(at: int, number: int) -> bytes:
    return GOOD[:at] + struct.pack("<I", number) + GOOD[at + 4 :]


def floats(*values: float) -> bytes:
    return wav(struct.pack(f"<{len(values)}f", *values), tag=3, bits=32)


LIES = {
    "data longer than the file": (patched(40, 2**32 - 1), "claims 4294967295"),
    "no channels": (GOOD[:22] + b"\0\0" + GOOD[24:], "contradict"),
    "rate that its byte rate denies": (patched(24, 8000), "contradict"),
    "A-law": (wav(b"\0\0", tag=6, bits=8), "format 6 with 8 bits"),
    "16-bit floats": (wav(b"\0" * 8, tag=3, bits=16), "format 3 with 16 bits"),
    "64-bit integers": (wav(b"\0" * 8, bits=64), "format 1 with 64 bits"),
    "one sample a second": (wav(b"\0\0", rate=1), "1 samples a second"),
    "half a sample": (wav(b"\0\0\0"), "not whole"),
    "not a number": (floats(0, float("nan")), r"\(nan\) is not a number at byte 48"),
    "infinite": (floats(float("-inf"), 0), r"\(-inf\) is not a number at byte 44"),
    "integers written as floats": (floats(0, -20_000), r"\(-20000\) is far beyond full scale at"),
    "a size that only one of two headers knows": (patched(4, 0)[:-2], "claims 16 bytes, 14 are"),
    "no samples at all": (b"RIFF\x04\0\0\0WAVE", "no samples"),
    "samples before their format": (b"RIFF\x0c\0\0\0WAVEdata\0\0\0\0", "before their format"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_header_that_lies_is_refused_with_the_fact(lie: str) -> None:
    data, fact = LIES[lie]
    with pytest.raises(InputError, match=fact) as caught:
        read_wav(data)
    assert caught.value.hint


def test_a_compressed_wav_is_called_so_with_the_command_that_unpacks_it() -> None:
    adpcm = wav(bytes(512), tag=2, bits=4, rate=16_000)
    with pytest.raises(InputError, match="format 2 with 4 bits is compressed") as caught:
        read_wav(adpcm)
    assert "ffmpeg -i x.wav -c:a pcm_s16le y.wav" in caught.value.hint


def test_a_wav_that_is_cut_short_has_a_hint() -> None:
    with pytest.raises(InputError, match="cut short") as caught:
        read_wav(GOOD[:-3])
    assert "again" in caught.value.hint


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 48_000, 11_127])
def test_a_tone_keeps_its_frequency_phase_and_level(rate: int) -> None:
    tone = resample(sine(1_000, rate), rate, 16_000)
    inside = slice(400, 3_000)  # away from the edges, where silence begins
    np.testing.assert_allclose(tone[inside], sine(1_000, 16_000)[inside], atol=2e-4)


def test_a_tone_above_the_new_band_does_not_come_back_as_an_alias() -> None:
    assert np.abs(resample(sine(10_000, 48_000), 48_000, 16_000)[400:3_000]).max() < 1e-4


@given(st.integers(1, 300), st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000, 767_999]))
def test_length_follows_the_rates_exactly(count: int, rate: int) -> None:
    assert len(resample(np.ones(count, np.float32), rate, 16_000)) == -(-count * 16_000 // rate)


def test_a_constant_stays_what_it_is() -> None:
    flat = resample(np.full(4_000, 0.5, np.float32), 44_100, 16_000)
    np.testing.assert_allclose(flat[200:-200], 0.5, atol=1e-5)
