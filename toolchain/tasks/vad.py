"""Voice activity detection: how far the probabilities of speech are, and which decisions change.

What is asked
    Scenes of a few seconds (``questions/audio.py``): the recordings that ``audio`` names, clean,
    quiet, loud, in noise, hum, typing and babble; noise alone and silence. Each model runs through
    a scene frame by frame with its own state, as it does behind a microphone. No recording (or
    piece of a long one) is in two splits; confirmation has more than 10,000 frames of 32 ms.

Metric
    Error: mean absolute difference of the probabilities over all frames; infinite if one of them is
    not finite. Agreement: share of frames on the same side of ``threshold``.

Limit
    Agreement of 99.8 %: the reference pipeline's bar. Error of 0.006, which notices when
    probabilities drift without crossing the threshold. Measured with Silero (16 kHz) and weights
    rounded per channel: 127 levels 0.0024 and 99.89 %, 63 levels 0.0032 and 99.88 %, 31 levels
    0.0061 and 99.68 %; onnxruntime's dynamic int8, which makes it useless, 0.37 and 62 %.

Interface
    Inputs are told apart by type and shape: integers are the sample rate, an input whose name an
    output continues (``state`` and ``stateN``, ``h`` and ``h_out``) is a state, the other one is
    sound: ``context`` samples of the last frame, then ``frame`` new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_probes import port_type, runner_probes
from toolchain.formats.onnx_runner import Array, Port, Runner
from toolchain.tables import table
from toolchain.tasks.base import Limit, Score, Split, Task
from toolchain.tasks.questions.audio import Clip, Scene, clips, divided, scenes
from toolchain.tasks.questions.limits import Asked, allowed
from toolchain.tasks.questions.outputs import array
from toolchain.voice.stage import FRAME_SAMPLES, LISTENING_HZ

_DEFAULT = Limit(error=0.006, agreement=0.998)
_SECONDS = {Split.CALIBRATION: 40.0, Split.SEARCH: 120.0, Split.CONFIRMATION: 330.0}
"""Ours: 330 s are 10,312 frames of 32 ms, of which 0.2 % are 20; 120 s take 0.5 s of CPU."""

Probabilities = NDArray[np.float32]


@table
class Options:
    """``audio`` are globs of file names; ``frame`` and ``context`` are samples at 16 kHz.

    ``context`` is how much of the last frame stands before the new one: 64 for Silero.
    """

    audio: tuple[str, ...] = ("*.wav",)
    threshold: float = 0.5
    frame: int = FRAME_SAMPLES
    context: int = 64
    limit: Asked | float | None = None


@dataclass(frozen=True)
class Vad:
    """Asks with the recordings of each split."""

    options: Options
    speech: Mapping[Split, tuple[Clip, ...]]

    unit = "probability"

    @property
    def limit(self) -> Limit:
        """The default or what was asked for."""
        return allowed(self.options.limit, _DEFAULT)

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model`` itself: its probabilities are an output."""
        return model

    def reference(self, runner: Runner, split: Split) -> object:
        """Return the scenes of ``split`` and the original's probabilities in each."""
        heard = scenes(self.speech[split], _SECONDS[split], seed=list(Split).index(split))
        detector = _discovered(runner, self.options)
        probabilities = _listened(runner, detector, heard)
        if not all(np.isfinite(p).all() for p in probabilities):
            raise InputError(
                f"the original's {detector.probability} is not finite in every frame",
                hint="try the model by itself: what it decides there, nobody can compare",
            )
        return _Reference(detector, heard, probabilities)

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Compare probabilities and decisions, frame by frame."""
        del split  # the scenes are in the reference
        if not isinstance(reference, _Reference):
            raise TypeError("the reference is not of this task")
        listened = _listened(runner, reference.detector, reference.scenes)
        observed, expected = np.concatenate(listened), np.concatenate(reference.probabilities)
        finite = np.isfinite(observed)
        distance = np.where(finite, np.abs(observed - expected), np.inf)
        threshold = self.options.threshold
        same = finite & ((observed >= threshold) == (expected >= threshold))
        kinds = np.repeat([s.kind for s in reference.scenes], [len(p) for p in listened])
        return Score(
            error=float(distance.mean()),
            agreement=float(same.mean()),
            positions=len(same),
            details={
                "largest error": float(distance.max()),
                "share of speech": float((expected >= threshold).mean()),
                **{f"agreement in {k}": float(same[kinds == k].mean()) for k in sorted({*kinds})},
            },
        )


@dataclass(frozen=True)
class _Detector:
    """Which input is which, and what a frame is."""

    sound: str
    shape: tuple[int, ...]
    probability: str
    states: Mapping[str, str]
    first: Mapping[str, Array]  # states at the start, and inputs that never change
    frame: int
    context: int


@dataclass(frozen=True, eq=False)
class _Reference:
    detector: _Detector
    scenes: Sequence[Scene]
    probabilities: Sequence[Probabilities]


def _listened(runner: Runner, detector: _Detector, heard: Sequence[Scene]) -> list[Probabilities]:
    return [_probabilities(runner, detector, scene.samples) for scene in heard]


def _probabilities(
    runner: Runner, detector: _Detector, samples: NDArray[np.float32]
) -> Probabilities:
    """Run through a scene with the model's own state: (frames,), the rest of a frame is dropped."""
    feeds = dict(detector.first)
    frame, context = detector.frame, detector.context
    heard = np.concatenate((np.zeros(context, np.float32), samples))
    found = np.empty(len(samples) // frame, np.float32)
    for number in range(len(found)):
        start = number * frame
        feeds[detector.sound] = heard[start : start + context + frame].reshape(detector.shape)
        outputs = runner.run(feeds)
        found[number] = array(outputs, detector.probability).reshape(-1)[0]
        feeds.update({name: outputs[output] for name, output in detector.states.items()})
    return found


def _discovered(runner: Runner, options: Options) -> _Detector:
    """Find out which input is what.

    Errors:
        InputError: no input for sound, or no output with one number.
        ConfigError: the model takes frames of another length.
    """
    rates = {
        port.name: np.full([s if isinstance(s, int) else 1 for s in port.shape], LISTENING_HZ, kind)
        for port in runner.inputs
        if (kind := port_type(runner, port.name)) is not None and issubclass(kind, np.integer)
    }
    floats = [port for port in runner.inputs if port.name not in rates]
    sound = _sound(floats, runner.outputs)
    length = options.frame + options.context
    if isinstance(sound.shape[-1], int) and sound.shape[-1] != length:
        raise ConfigError(
            f"{sound.name} takes {sound.shape[-1]} samples, not {length}",
            hint="set frame (new samples) and context (of the last frame), which add up to it",
        )
    shape = (*(1 for _ in sound.shape[:-1]), length)
    probe = runner_probes(runner, rates, {sound.name: shape}, limit=1)[0]
    given = [o for o in runner.outputs if o not in probe.states.values()]
    if not given or sound.name in probe.states:
        raise InputError(
            f"the model gives {', '.join(runner.outputs)}: no probability of speech among them",
            hint="is this a voice activity detector? name another family",
        )
    return _Detector(
        sound.name,
        shape,
        given[0],
        probe.states,
        {**rates, **probe.first_states()},
        options.frame,
        options.context,
    )


def _sound(floats: Sequence[Port], outputs: Sequence[str]) -> Port:
    """Return the input for sound: of rank 1 or 2, and no output continues its name."""
    flat = [p for p in floats if 1 <= len(p.shape) <= 2]  # noqa: PLR2004 - (n,) or (1, n)
    alone = [p for p in flat if not any(o.startswith(p.name.removesuffix("_in")) for o in outputs)]
    if len(alone) != 1:
        raise InputError(
            f"which of the inputs {', '.join(p.name for p in floats)} is sound?",
            hint="a voice activity detector has one of shape (1, samples), beside its states",
        )
    return alone[0]


def task(options: Options, files: Mapping[str, Path]) -> Task:
    """Read the recordings.

    Errors:
        ConfigError: too few of them, or a frame without samples.
        InputError: one that cannot be read.
    """
    if options.frame < 1 or options.context < 0:
        raise ConfigError(
            f"a frame of {options.frame} samples after {options.context} of the last one",
            hint="frame is 1 or more, context 0 or more",
        )
    return Vad(options, divided(clips(files, options.audio)))
