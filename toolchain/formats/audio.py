"""Audio in wav files: reading, writing, mixing to mono, changing the sample rate."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import FormatError, InputError

Samples = NDArray[np.float32]

_RIFF_BYTES = 12  # "RIFF", size, "WAVE"
_CHUNK_BYTES = 8  # name, size
_FORMAT_BYTES = 16  # the least that "fmt " holds
_EXTENSIBLE_BYTES = 40
_UNKNOWN = frozenset({0, 0xFFFFFFFF})
"""Sizes in the header of a wav that was written to a pipe (ffmpeg: all ones) or whose recorder was
stopped before it could say them (0): what follows, until the end of the file, is sound."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # WAVE format tags
_BYTE_BITS, _COMMON_BITS = 8, 16
_RATES_HZ = range(1_000, 768_001)
"""Sample rates we take: from below telephone speech to the fastest studio converter. Ours: outside
of it a header lies more often than a microphone is odd, and a filter would grow without end."""

_LOUDEST = 64.0
"""Floats may go beyond full scale, by 36 dB at most: beyond that they are integers which were
written as floats, and no model would understand them. Ours."""

_ANEW = "write it anew: ffmpeg -i x.wav -c:a pcm_s16le y.wav"
_WHOLE = f"copy or record it again, or keep what is there and {_ANEW}"

_ZERO_CROSSINGS = 64
_ROLLOFF = 0.9475937167399596
_KAISER_BETA = 14.769656459379492
"""The ``kaiser_best`` low-pass filter of resampy and torchaudio: 64 zero crossings a side."""


@dataclass(frozen=True, eq=False, slots=True)
class Audio:
    """Mono sound: ``samples`` (n,) float32, full scale is 1, ``rate_hz`` of them a second."""

    samples: Samples
    rate_hz: int

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return len(self.samples) / self.rate_hz

    def at(self, rate_hz: int) -> Audio:
        """Return the same sound at another sample rate."""
        return Audio(resample(self.samples, self.rate_hz, rate_hz), rate_hz)


class _Chunk(NamedTuple):
    name: bytes
    start: int  # offset of the body
    body: memoryview
    interrupted: bool  # how long it is was never written


class _Layout(NamedTuple):
    tag: int
    channels: int
    rate_hz: int
    bits: int


def read_wav(data: bytes | memoryview) -> Audio:
    """Return the sound in a wav file; channels are averaged to one.

    Takes PCM of 8, 16, 24 and 32 bits and floats of 32 and 64, plain or
    ``WAVE_FORMAT_EXTENSIBLE``; also where the header does not know how long the file became.

    Errors:
        FormatError: not a wav, cut short, a chunk longer than the file, a header that contradicts
            itself, a float that is not a number or far beyond full scale.
        InputError: a sample format (A-law) or a rate we do not take.

    Source: Microsoft, Multimedia Programming Interface and Data Specifications 1.0, chapter 3.
    """
    view = memoryview(data)
    layout: _Layout | None = None
    for chunk in _chunks(view):
        if chunk.name == b"fmt ":
            layout = _layout(chunk)
        elif chunk.name == b"data":
            if layout is None:
                what = "wav: the samples come before their format"
                raise FormatError(what, chunk.start, hint=_ANEW)
            return Audio(_mono(_decode(chunk, layout), layout), layout.rate_hz)
    raise FormatError("wav: no samples (no data chunk) until the end", len(view), hint=_WHOLE)


def write_wav(audio: Audio) -> bytes:
    """Return ``audio`` as a 16-bit mono wav; what is louder than full scale is clipped."""
    body = np.clip(np.rint(audio.samples * 32768.0), -32768, 32767).astype("<i2").tobytes()
    rate = audio.rate_hz
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", 36 + len(body), b"WAVE"),
            struct.pack("<4sIHHIIHH", b"fmt ", _FORMAT_BYTES, _PCM, 1, rate, rate * 2, 2, 16),
            struct.pack("<4sI", b"data", len(body)),
            body,
        )
    )


def _chunks(view: memoryview) -> Iterator[_Chunk]:
    if len(view) < _RIFF_BYTES or bytes(view[:4]) != b"RIFF" or bytes(view[8:12]) != b"WAVE":
        raise FormatError(
            "wav: no RIFF/WAVE header", 0, hint="convert it: ffmpeg -i INPUT -ar 16000 OUTPUT.wav"
        )
    promised = struct.unpack_from("<I", view, 4)[0]
    end = len(view) if promised in _UNKNOWN else _CHUNK_BYTES + promised
    if end > len(view):
        raise FormatError(
            f"wav: cut short, the header promises {end} bytes", len(view), hint=_WHOLE
        )
    at = _RIFF_BYTES
    while at + _CHUNK_BYTES <= end:
        name, size = struct.unpack_from("<4sI", view, at)
        start = at + _CHUNK_BYTES
        interrupted = promised in _UNKNOWN and name == b"data" and size in _UNKNOWN
        if interrupted:
            size = end - start
        if start + size > end:
            raise FormatError(
                f"wav: chunk {name!r} claims {size} bytes, {end - start} are there",
                at,
                hint=_WHOLE,
            )
        yield _Chunk(name, start, view[start : start + size], interrupted)
        at = start + size + size % 2  # chunks are padded to even length


def _layout(chunk: _Chunk) -> _Layout:
    if len(chunk.body) < _FORMAT_BYTES:
        raise FormatError(f"wav: a format of {len(chunk.body)} bytes", chunk.start, hint=_ANEW)
    tag, channels, rate, rate_bytes, block, bits = struct.unpack_from("<HHIIHH", chunk.body)
    if tag == _EXTENSIBLE and len(chunk.body) >= _EXTENSIBLE_BYTES:
        tag = struct.unpack_from("<H", chunk.body, 24)[0]  # first two bytes of the sub-format GUID
    if tag not in {_PCM, _FLOAT}:  # before its blocks are looked at: those of packets are others
        raise InputError(
            f"wav: sample format {tag} with {bits} bits is compressed, which is not read",
            hint=_ANEW,
        )
    if channels == 0 or block != channels * bits // _BYTE_BITS or rate_bytes != rate * block:
        raise FormatError(
            f"wav: {channels} channels of {bits} bits at {rate} Hz contradict "
            f"{block} bytes a block and {rate_bytes} bytes a second",
            chunk.start,
            hint=_ANEW,
        )
    if bits not in {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}.get(tag, ()):
        raise InputError(
            f"wav: sample format {tag} with {bits} bits is not supported",
            hint="use PCM of 8, 16, 24 or 32 bits, or floats of 32 or 64",
        )
    if rate not in _RATES_HZ:
        raise InputError(
            f"wav: {rate} samples a second",
            hint=f"use {_RATES_HZ.start} to {_RATES_HZ.stop - 1} Hz",
        )
    return _Layout(tag, channels, rate, bits)


def _decode(chunk: _Chunk, layout: _Layout) -> Samples:
    """Return the interleaved samples, full scale 1."""
    width = layout.bits // _BYTE_BITS
    body, rest = chunk.body, len(chunk.body) % (width * layout.channels)
    if rest and not chunk.interrupted:
        raise FormatError("wav: the last block of samples is not whole", chunk.start, hint=_WHOLE)
    body = body[: len(body) - rest]
    if layout.tag == _FLOAT:
        return _floats(np.frombuffer(body, f"<f{width}"), chunk.start)
    if layout.bits == _BYTE_BITS:  # the only unsigned one
        return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if layout.bits == _COMMON_BITS:  # as below, in a third of the memory
        return np.frombuffer(body, "<i2").astype(np.float32) / np.float32(2**15)
    # widen to 32 bits by zero bytes below, so that every width has the same full scale
    wide = np.zeros((len(body) // width, 4), np.uint8)
    wide[:, 4 - width :] = np.frombuffer(body, np.uint8).reshape(-1, width)
    signed: NDArray[np.int32] = wide.view(np.dtype("<i4"))[:, 0]
    return signed.astype(np.float32) / np.float32(2**31)


def _floats(samples: NDArray[np.floating], start: int) -> Samples:
    wrong = ~(np.abs(samples) <= _LOUDEST)  # true of what is no number, too
    if wrong.any():
        at = int(np.argmax(wrong))
        what = "far beyond full scale" if np.isfinite(samples[at]) else "not a number"
        raise FormatError(
            f"wav: a sample ({samples[at]:g}) is {what}",
            start + at * samples.itemsize,
            hint=f"floats are -1 to 1: {_ANEW}",
        )
    return samples.astype(np.float32)


def _mono(samples: Samples, layout: _Layout) -> Samples:
    if layout.channels == 1:
        return samples
    mixed: Samples = samples.reshape(-1, layout.channels).mean(axis=1, dtype=np.float32)
    return mixed


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Return ``samples`` at ``to_hz``: band-limited, without delay, constants stay constant.

    A windowed-sinc low-pass in polyphase form: output ``j`` lies at input time
    ``j * from_hz / to_hz``; outputs at the same fraction of an input sample share one filter.

    Shapes:
        samples: (n,) float32; outside of it is silence
        returns: (ceil(n * to_hz / from_hz),) float32

    Cost: 128 multiplications an output sample, more by ``from_hz / to_hz`` when going down.
    """
    if from_hz == to_hz or not len(samples):
        return samples
    shared = math.gcd(from_hz, to_hz)
    up, down = to_hz // shared, from_hz // shared
    cutoff = min(1.0, to_hz / from_hz) * _ROLLOFF
    half = math.ceil(_ZERO_CROSSINGS / cutoff)
    count = -(-len(samples) * up // down)
    padded = np.pad(samples, (half - 1, half + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)
    out = np.empty(count, np.float32)
    for phase in range(min(up, count)):
        whole, rest = divmod(phase * down, up)
        rows = windows[whole::down][: -(-(count - phase) // up)]
        out[phase::up] = rows @ _filter(half, cutoff, rest / up)
    return out


def _filter(half: int, cutoff: float, fraction: float) -> Samples:
    """Return the taps for an output ``fraction`` of a sample after the middle, (2 * half,)."""
    distance = np.arange(1 - half, half + 1) - fraction
    inside = np.clip(1 - (distance / half) ** 2, 0, None)
    taps = np.sinc(cutoff * distance) * np.i0(_KAISER_BETA * np.sqrt(inside))
    level: Samples = (taps / taps.sum()).astype(np.float32)
    return level
