"""What Whisper hears: 30 seconds of sound as a log-mel spectrogram."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.audio import Samples
from toolchain.voice.stage import LISTENING_HZ

WINDOW_SECONDS = 30
"""How much the model hears at once (Radford et al., Whisper, 2022, section 2.2)."""

_FFT, _HOP = 400, 160  # samples: 25 ms every 10 ms; this and what follows: openai-whisper, audio.py
_FLOOR = 1e-10  # of the power, so that silence has a logarithm
_RANGE = 8.0  # 80 dB: what is further below the loudest is as good as silent
_LINEAR_HZ, _LINEAR_MEL = 1_000.0, 15.0  # Slaney's mel scale: linear up to here,
_STEP = np.log(6.4) / 27  # logarithmic above (Slaney, Auditory Toolbox, 1998)

Features = NDArray[np.float32]


def log_mel(samples: Samples, bands: int) -> Features:
    """Return the features of a window of up to 30 s; the rest of it is silence.

    Each frame stands in the middle of 25 ms of sound, which is mirrored at both ends.

    Shapes:
        samples: (n,) at 16 kHz, n up to 480,000; what follows is not heard
        returns: (1, bands, 3000) float32, about -1 to 1

    Cost: one FFT of 400 for each 10 ms of sound; silence after it costs nothing.

    Source: openai-whisper 20250625, audio.py, ``log_mel_spectrogram``.
    """
    frames = WINDOW_SECONDS * LISTENING_HZ // _HOP
    heard = samples[: frames * _HOP].astype(np.float64)
    sounding = min(frames, -(-(len(heard) + _FFT // 2) // _HOP))  # the others are all silence
    silence = np.zeros(sounding * _HOP + _FFT - len(heard))
    whole = np.pad(np.concatenate((heard, silence)), (_FFT // 2, 0), mode="reflect")
    if sounding == frames:  # mirrored at the very end, too
        end = _FFT // 2 + frames * _HOP
        whole[end : end + _FFT // 2] = whole[end - 2 : end - 2 - _FFT // 2 : -1]
    windows = np.lib.stride_tricks.sliding_window_view(whole, _FFT)[: sounding * _HOP : _HOP]
    power = np.abs(np.fft.rfft(windows * _hann())) ** 2
    spectrum = np.full((bands, frames), np.log10(_FLOOR))
    spectrum[:, :sounding] = np.log10(np.maximum(filters(bands) @ power.T, _FLOOR))
    near = np.maximum(spectrum, spectrum.max() - _RANGE)
    features: Features = ((near + 4) / 4).astype(np.float32)[None]
    return features


def _hann() -> NDArray[np.float64]:
    """Return the periodic Hann window, (400,)."""
    window: NDArray[np.float64] = np.hanning(_FFT + 1)[:-1]
    return window


@cache
def filters(bands: int) -> NDArray[np.float64]:
    """Return how much of each frequency each band hears, (bands, 201): triangles of equal area.

    Source: librosa.filters.mel(sr=16000, n_fft=400), which Whisper's filters were made with.
    """
    corners = _hertz(np.linspace(0, _mel(LISTENING_HZ / 2), bands + 2))[:, None]
    frequencies = np.fft.rfftfreq(_FFT, 1 / LISTENING_HZ)
    widths = np.diff(corners, axis=0)
    rising = (frequencies - corners[:-2]) / widths[:-1]
    falling = (corners[2:] - frequencies) / widths[1:]
    triangles: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return triangles * 2 / (corners[2:] - corners[:-2])


def _mel(hertz: float) -> float:
    """Return a frequency of 1 kHz or more on Slaney's mel scale."""
    return float(_LINEAR_MEL + np.log(hertz / _LINEAR_HZ) / _STEP)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_HZ / _LINEAR_MEL
    return np.where(mel < _LINEAR_MEL, linear, _LINEAR_HZ * np.exp(_STEP * (mel - _LINEAR_MEL)))
