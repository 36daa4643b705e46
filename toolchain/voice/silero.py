"""Silero VAD: the probability of speech, 32 ms at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from toolchain.formats.audio import Samples
from toolchain.tables import table
from toolchain.voice.engine import expect_inputs, open_model
from toolchain.voice.running import run
from toolchain.voice.stage import LISTENING_HZ, Vad

_CONTEXT_SAMPLES = 64
"""Each frame is preceded by the end of the last one: 64 samples at 16 kHz, as in the vendor's
OnnxWrapper (silero-vad 6.2.3, utils_vad.py)."""

_STATE_SHAPE = (2, 1, 128)  # the LSTM's hidden and cell state, for one speaker
_INPUTS = {"silero": ("input", "state")}


@table
class Options:
    """``[voice.vad]`` for the adapter ``silero``."""

    model: str


@dataclass(frozen=True)
class Silero:
    """Takes the general model, which is told the sample rate (``sr``), and one bound to 16 kHz."""

    session: ort.InferenceSession
    told_rate: bool

    def stream(self, chunks: Iterable[Samples]) -> Iterator[float]:
        """Yield the probability of speech in each frame of ``FRAME_SAMPLES``."""
        context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        feeds = {"state": np.zeros(_STATE_SHAPE, np.float32)}
        if self.told_rate:
            feeds["sr"] = np.array(LISTENING_HZ, np.int64)
        for frame in chunks:
            feeds["input"] = np.concatenate((context, frame))[None]
            probability, feeds["state"] = run(self.session, None, feeds)
            context = frame[-_CONTEXT_SAMPLES:]
            yield float(probability[0, 0])


def load(options: Options, files: Mapping[str, Path]) -> Vad:
    """Open the model.

    Errors:
        ConfigError, InputError: see ``engine``.
    """
    session = open_model(files, options.model)
    expect_inputs(session, options.model, _INPUTS)
    return Silero(session, "sr" in {i.name for i in session.get_inputs()})
