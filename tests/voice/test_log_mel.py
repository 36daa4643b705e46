"""Whisper's front end is the one it was trained with, frame by frame and band by band."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from toolchain.voice.log_mel import filters, log_mel

# A chirp of 3 s by asrfront 0.2.2 (PyPI), which its authors hold equal to openai-whisper: the
# bands 0, 1/4, 1/2 and the last of some frames, four decimals.
FRAMES = (0, 1, 50, 150, 298, 299, 300, 301, 2999)
PEER = {
    80: [
        [-0.6094, -0.6094, -0.6094, -0.6094, -0.6094, -0.3587, 0.1515, -0.3586, -0.6094],
        [-0.6094, -0.6094, -0.2825, -0.6094, -0.6094, -0.3522, 0.158, -0.3521, -0.6094],
        [-0.6094, -0.6094, -0.6094, -0.6094, -0.6094, -0.3186, 0.1914, -0.3187, -0.6094],
        [-0.6094, -0.6094, -0.6094, -0.6094, -0.6094, -0.0615, 0.4489, -0.0614, -0.6094],
    ],
    128: [
        [-0.5758, -0.5758, -0.5758, -0.5758, -0.5758, -0.4345, 0.0757, -0.4343, -0.5758],
        [-0.5758, -0.5758, -0.3527, -0.5758, -0.5758, -0.3684, 0.1418, -0.3682, -0.5758],
        [-0.5758, -0.5758, -0.5758, -0.5758, -0.5758, -0.3268, 0.1833, -0.3268, -0.5758],
        [-0.5758, -0.5758, -0.5758, -0.5758, -0.5758, -0.0638, 0.4464, -0.0641, -0.5758],
    ],
}


@pytest.mark.parametrize("bands", [80, 128])
def test_a_chirp_looks_as_the_peer_sees_it(bands: int) -> None:
    time = np.arange(48_000) / 16_000
    chirp = 0.5 * np.sin(2 * np.pi * (200 * time + 900 * time**2)) * np.minimum(1, time)
    seen = log_mel(chirp.astype(np.float32), bands)[0]
    rows = seen[[0, bands // 4, bands // 2, bands - 1]][:, FRAMES]
    np.testing.assert_allclose(rows, PEER[bands], atol=1.1e-4)


def by_definition(samples: NDArray[np.float32], bands: int, frames: range) -> NDArray[np.float64]:
    """Return the logarithms before they are bounded, by sums and tables instead of an FFT."""
    whole = np.zeros(480_000)
    whole[: len(samples)] = samples
    at = np.arange(400)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * at / 400)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(201), at) / 400)
    weights = np.array([[weight(b, k * 40.0, bands) for k in range(201)] for b in range(bands)])
    found = []
    for frame in frames:
        places = np.abs(np.arange(frame * 160 - 200, frame * 160 + 200))
        places = np.where(places >= 480_000, 2 * 479_999 - places, places)
        found.append(weights @ np.abs(waves @ (whole[places] * hann)) ** 2)
    return np.log10(np.maximum(np.array(found).T, 1e-10))


def weight(band: int, hertz: float, bands: int) -> float:
    """Return how much of a frequency a band hears: Slaney's triangles, of area 1 each."""
    top = 15 + math.log(8) / (math.log(6.4) / 27)
    mels = [top * (band + i) / (bands + 1) for i in range(3)]
    low, middle, high = (
        m * 200 / 3 if m < 15 else 1000 * math.exp((m - 15) * math.log(6.4) / 27) for m in mels
    )
    side = (hertz - low) / (middle - low) if hertz <= middle else (high - hertz) / (high - middle)
    return max(0.0, side) * 2 / (high - low)


@pytest.mark.parametrize("length", [1, 150, 16_000, 479_900, 480_000])
def test_noise_of_any_length_is_what_the_definition_says(length: int) -> None:
    noise = 0.1 * np.random.default_rng(length).standard_normal(length).astype(np.float32)
    frames = range(3000) if length < 16_000 else range(0, 3000, 100)
    last = range(2995, 3000)
    expected = np.concatenate([by_definition(noise, 80, f) for f in (frames, last)], axis=1)
    seen = log_mel(noise, 80)[0] * 4.0 - 4
    bounded = np.maximum(expected, seen.max() - 8)
    places = [*frames, *last]
    np.testing.assert_allclose(seen[:, places], bounded, atol=2e-4)


@pytest.mark.parametrize("length", [0, 5_000])
def test_silence_is_as_quiet_as_it_can_be(length: int) -> None:
    assert (log_mel(np.zeros(length, np.float32), 80) == (-10 + 4) / 4).all()


def test_what_is_beyond_30_seconds_is_not_heard() -> None:
    noise = np.random.default_rng(0).standard_normal(600_000).astype(np.float32)
    np.testing.assert_array_equal(log_mel(noise, 80), log_mel(noise[:480_000], 80))


@pytest.mark.parametrize("bands", [80, 128])
def test_every_band_hears_something(bands: int) -> None:
    assert (filters(bands).sum(axis=1) > 0).all()
