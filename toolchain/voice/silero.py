"""Silero VAD: the probability of speech, 32 ms at a time, in every version since the third."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from toolchain.tables import table
from toolchain.voice import framewise
from toolchain.voice.engine import open_model
from toolchain.voice.interface import expect
from toolchain.voice.stage import Vad

_CONTEXT_SAMPLES = 64
"""From version 5 on each frame is preceded by the end of the last one: 64 samples at 16 kHz, as in
the vendor's OnnxWrapper (silero-vad 6.2.3, utils_vad.py)."""

_WIDTH_WITHOUT_CONTEXT = 64
"""Versions 3 and 4 keep 64 numbers a layer and hear each frame by itself (silero-vad 4.0,
utils_vad.py); later ones keep 128."""


@table
class Options:
    """``[voice.vad]`` for the adapter ``silero``."""

    model: str


def load(options: Options, files: Mapping[str, Path]) -> Vad:
    """Open the model: the general one, which is told the sample rate, or one bound to 16 kHz.

    Errors:
        ConfigError, InputError: see ``engine``, ``interface`` and ``framewise``.
    """
    session = open_model(files, options.model)
    expect(session, options.model, "vad", "silero")
    return framewise.detector(session, framewise.Options(options.model, context=_context(session)))


def _context(session: ort.InferenceSession) -> int:
    """Return how many samples of the last frame the model hears again."""
    widths = [i.shape[-1] for i in session.get_inputs() if i.name in {"state", "h"}]
    return 0 if _WIDTH_WITHOUT_CONTEXT in widths else _CONTEXT_SAMPLES
