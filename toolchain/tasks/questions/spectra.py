"""How far two sounds of the same length are apart to the ear: log-mel distance in decibels."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.audio import Audio

_WINDOW, _HOP = 1024, 256
"""Samples: 43 and 11 ms at 24 kHz, as vocoders' own spectra (HiFi-GAN, Piper)."""

_BANDS = 80
_FLOOR_DB = -60.0
"""Below the loudest band of the original everything is equally silent: 60 dB is what remains
between speech and the noise of a quiet room. Ours."""

Spectrum = NDArray[np.float64]  # (frames, bands), decibels


def log_mel(sound: Audio, loudest: float | None = None) -> tuple[Spectrum, float]:
    """Return the log-mel power spectrum of ``sound`` in dB, and its loudest band.

    Hann window of 1024 samples every 256, 80 triangular bands from 0 to half the sample rate,
    equally far apart in mel (O'Shaughnessy: 2595 log10(1 + f / 700)); not below 60 dB under
    ``loudest``, which is the sound's own unless given.
    """
    samples = np.pad(sound.samples.astype(np.float64), (0, max(0, _WINDOW - len(sound.samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW + 1)[:-1])) ** 2
    decibels = 10 * np.log10(power @ _bands(sound.rate_hz) + 1e-12)
    peak = float(decibels.max()) if loudest is None else loudest
    return np.maximum(decibels, peak + _FLOOR_DB), peak


def distance_db(expected: Audio, observed: Audio) -> float:
    """Return the mean absolute difference of the log-mel spectra, over all frames and bands.

    Errors:
        InputError: the sounds have other lengths or rates, or ``expected`` is not finite.

    What is not a number is as far from everything as silence is from the loudest band.
    """
    if (len(expected.samples), expected.rate_hz) != (len(observed.samples), observed.rate_hz):
        raise InputError(
            f"{len(observed.samples)} samples instead of {len(expected.samples)}",
            hint="the model takes no durations from outside: its sounds cannot be compared",
        )
    before, peak = log_mel(expected)
    if not np.isfinite(peak):
        raise InputError("the original's sound is not finite", hint="try the model by itself")
    after, _ = log_mel(observed, peak)
    return float(np.nan_to_num(np.abs(after - before), nan=-_FLOOR_DB).mean())


@cache
def _bands(rate_hz: int) -> NDArray[np.float64]:
    """Return the weights of the bands, (window / 2 + 1, bands)."""
    top = 2595 * np.log10(1 + rate_hz / 2 / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, top, _BANDS + 2) / 2595) - 1)
    bins_hz = np.linspace(0, rate_hz / 2, _WINDOW // 2 + 1)[:, None]
    low, middle, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    weights: NDArray[np.float64] = np.clip(np.minimum(rising, falling), 0, None)
    return weights
