"""Voice activity detectors that hear one frame after another: any of them, as its inputs say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Samples
from toolchain.formats.state_names import successors
from toolchain.tables import table
from toolchain.voice.engine import open_model
from toolchain.voice.interface import misfit, number_type
from toolchain.voice.running import run
from toolchain.voice.stage import FRAME_SAMPLES, LISTENING_HZ, Vad

_FLAT = 2  # axes of sound, at most: (1, samples)


RANGES: Mapping[str, tuple[float, float]] = {
    "frame": (1, LISTENING_HZ),
    "context": (0, LISTENING_HZ),
}
"""Of the numbers in ``Options``, both ends allowed: a second at most. Ours: who hears later cannot
say in time that somebody has spoken."""


@table
class Options:
    """``[voice.vad]`` for the adapter ``framewise``; frame and context are samples at 16 kHz.

    The model hears ``context`` samples of what came before, then ``frame`` new ones.
    """

    model: str
    frame: int = FRAME_SAMPLES
    context: int = 0


@dataclass(frozen=True)
class Ports:
    """Which input is what: the sound and its shape, states by the output that continues them."""

    sound: str
    shape: tuple[int, ...]
    probability: str
    states: Mapping[str, str]  # output -> input
    first: Mapping[str, NDArray[np.generic]]  # states at the start, and inputs that never change


@dataclass(frozen=True)
class Framewise:
    """Hears ``frame`` new samples at a time, whatever the length of the chunks it is given."""

    session: ort.InferenceSession
    ports: Ports
    frame: int
    context: int

    def stream(self, chunks: Iterable[Samples]) -> Iterator[float]:
        """Yield the probability of speech in each chunk: that of its likeliest frame.

        A chunk in which no frame ends has the probability of the last frame before it, or 0.

        Errors:
            InputError: a probability is no number; from there on no other would be one.
        """
        heard = np.zeros(self.context, np.float32)
        feeds = dict(self.ports.first)
        outputs = [self.ports.probability, *self.ports.states]
        last = 0.0
        for chunk in chunks:
            heard = np.concatenate((heard, chunk))
            found = []
            while len(heard) >= self.context + self.frame:
                sound = heard[: self.context + self.frame]
                feeds[self.ports.sound] = sound.reshape(self.ports.shape)
                probability, *states = run(self.session, outputs, feeds)
                feeds.update(zip(self.ports.states.values(), states, strict=True))
                found.append(_number(probability))
                heard = heard[self.frame :]
            last = found[-1] if found else last
            yield max(found, default=last)


def _number(probability: NDArray[np.generic]) -> float:
    found = float(probability.reshape(-1)[0])
    if math.isnan(found):
        raise InputError(
            "the detector answers with what is not a number",
            hint="is a sample not a number, or was the model damaged by a pass?",
        )
    return found


def detector(session: ort.InferenceSession, options: Options) -> Vad:
    """Return the detector that an open model is.

    Errors:
        ConfigError: the model takes frames of another length, or a length is impossible.
        InputError: which of its inputs is sound cannot be told, or it gives no probability.
    """
    if options.frame < 1 or options.context < 0:
        raise ConfigError(
            f"voice.vad: a frame of {options.frame} samples after {options.context} of the last",
            hint="frame is 1 or more, context 0 or more",
        )
    return Framewise(session, _ports(session, options), options.frame, options.context)


def _ports(session: ort.InferenceSession, options: Options) -> Ports:
    name, inputs, outputs = options.model, session.get_inputs(), session.get_outputs()
    types = {i.name: number_type(i, name) for i in inputs}
    states = _states(inputs, outputs)
    rates = [i for i in inputs if issubclass(types[i.name], np.integer)]
    sounds = [i for i in inputs if i not in rates and i.name not in states.values()]
    given = [o.name for o in outputs if o.name not in states]
    if len(sounds) != 1 or not 1 <= len(sounds[0].shape) <= _FLAT or not given:
        why = "one of them is sound, (1, samples); the others are states that outputs continue"
        raise misfit(session, name, "vad", why)
    length = options.context + options.frame
    if isinstance(sounds[0].shape[-1], int) and sounds[0].shape[-1] != length:
        raise ConfigError(
            f"{sounds[0].name} of {name} takes {sounds[0].shape[-1]} samples, not {length}",
            hint="frame (new samples) and context (of the last ones) add up to it",
        )
    first: dict[str, NDArray[np.generic]] = {
        i.name: np.zeros(_ones(i.shape), types[i.name]) for i in inputs
    }
    first |= {r.name: np.full(_ones(r.shape), LISTENING_HZ, types[r.name]) for r in rates}
    shape = (*(1 for _ in sounds[0].shape[:-1]), length)
    return Ports(sounds[0].name, shape, given[0], states, first)


def _ones(shape: Sequence[int | str | None]) -> tuple[int, ...]:
    """Return a shape whose open sizes, the batch among them, are 1."""
    return tuple(size if isinstance(size, int) else 1 for size in shape)


def _states(inputs: Sequence[ort.NodeArg], outputs: Sequence[ort.NodeArg]) -> dict[str, str]:
    """Return the inputs that outputs of the same type and number of axes continue, by output."""
    found: dict[str, str] = {}
    for one in inputs:
        alike = [o.name for o in outputs if o.type == one.type and len(o.shape) == len(one.shape)]
        found |= {output: name for name, output in successors([one.name], alike).items()}
    return found


def load(options: Options, files: Mapping[str, Path]) -> Vad:
    """Open the model.

    Errors:
        ConfigError, InputError: see ``engine`` and ``detector``.
    """
    return detector(open_model(files, options.model), options)
