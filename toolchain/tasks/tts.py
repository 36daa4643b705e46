"""Text to speech: how far the sound is from the original's while both keep the same rhythm.

What is asked
    The sentences in ``rules/questions/tts.toml`` through hibari's own phonemes; a Piper voice
    (``config`` names its ``.onnx.json``) says made-up words in its phonemes, seeded. Noise scales
    are 0, noise that is added afterwards has a fixed seed. No sentence is in two splits.

Metric
    Any change of a weight changes the rounded length of some sound by a frame; from there on two
    waveforms are of different moments. So both models get the durations of the original (new
    inputs, see ``formats/onnx_durations.py``), and what they would have liked is compared apart:
    error = log-mel distance in dB (``questions/spectra.py``: mean absolute difference over bands
    and frames) + 1 dB for each frame of mean absolute difference of the unrounded durations. A
    frame is about 12 ms, half of what is just noticed (Klatt, 1976: 25 ms), as 1 dB is of a level.
    Agreement: share of sounds whose rounded duration is the same.

Limit
    Error of 1 dB: the reference pipeline's bar; agreement is not limited, the error has it in it.
    Measured on the confirmation: hibari with its int8 codes rounded to multiples of 2, 4, 8: 0.59,
    0.81, 1.40; a Piper voice with 127 and 31 levels a channel: 0.53 and 1.26. Its transcripts stay
    the same up to multiples of 8, and are off at 2: words alone do not tell these apart.

Details
    ``log-mel`` (dB) and ``duration error`` (frames), ``worst sentence`` (dB). With ``recognizer``
    (a ``[voice.stt]`` table of the adapter moonshine) the confirmation also lets both models speak
    freely and writes down what is heard: ``words`` is the share of sentences that read the same,
    case and punctuation aside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Audio
from toolchain.formats.onnx_durations import (
    FORCE,
    FORCED,
    ROUNDED,
    UNROUNDED,
    with_forced_durations,
)
from toolchain.formats.onnx_runner import Array, Port, Runner
from toolchain.tables import table
from toolchain.tasks.base import Limit, Score, Split, Task
from toolchain.tasks.questions import phonemes, texts
from toolchain.tasks.questions.limits import Asked, allowed
from toolchain.tasks.questions.outputs import arrays
from toolchain.tasks.questions.spectra import distance_db
from toolchain.voice import hibari, moonshine
from toolchain.voice.engine import located, open_model
from toolchain.voice.stage import LISTENING_HZ, Stt

_DEFAULT = Limit(error=1.0)
_DB_PER_FRAME = 1.0
_SENTENCES = {Split.CALIBRATION: 6, Split.SEARCH: 10, Split.CONFIRMATION: 20}  # of made-up words
_NOISE_SEED = 0


@table
class Options:
    """``config`` is a Piper voice's ``.onnx.json``; ``oov`` is hibari's model for rare words.

    ``durations`` names the rounded durations in the graph where they are not found.
    """

    config: str | None = None
    oov: str | None = None
    durations: str = ""
    recognizer: moonshine.Options | None = None
    limit: Asked | float | None = None


@dataclass(frozen=True)
class Voice:
    """What differs between voices: their sentences as ids, (1, n) each, and their sound."""

    sentences: Callable[[Split], Sequence[NDArray[np.int64]]]
    sound: Callable[[Mapping[str, Array]], Audio]


@dataclass(frozen=True, eq=False)
class Spoken:
    """One sentence of the original: what was fed, its durations in frames, its sound, its words."""

    feeds: Mapping[str, Array]
    unrounded: NDArray[np.float64]
    rounded: Array
    sound: Audio
    words: tuple[str, ...]


@dataclass(frozen=True)
class Tts:
    """Asks a voice to speak in the original's rhythm."""

    options: Options
    voice: Voice
    files: Mapping[str, Path]

    unit = "dB"

    @property
    def limit(self) -> Limit:
        """The default or what was asked for."""
        return allowed(self.options.limit, _DEFAULT)

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model`` with its durations as inputs and outputs."""
        return with_forced_durations(model, self.options.durations)

    @cached_property
    def _recognizer(self) -> Stt | None:
        asked = self.options.recognizer
        return None if asked is None else moonshine.load(asked, self.files)

    def reference(self, runner: Runner, split: Split) -> object:
        """Return what the original says in ``split``, and in which rhythm."""
        _expect_durations(runner)
        return [self._spoken(runner, ids, split) for ids in self.voice.sentences(split)]

    def _spoken(self, runner: Runner, ids: NDArray[np.int64], split: Split) -> Spoken:
        feeds = {**_feeds(runner.inputs, ids), **_free()}
        outputs = arrays(runner.run(feeds))
        rhythm = outputs[ROUNDED]
        forced = {**feeds, FORCE: np.array([True]), FORCED: rhythm}
        sound = self.voice.sound(outputs)
        wished = outputs[UNROUNDED].astype(np.float64)
        return Spoken(forced, wished, rhythm, sound, self._words(sound, split))

    def _words(self, sound: Audio, split: Split) -> tuple[str, ...]:
        if self._recognizer is None or split is not Split.CONFIRMATION:
            return ()
        (heard,) = self._recognizer.stream([sound.at(LISTENING_HZ).samples])
        return texts.words(heard)

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Compare spectra and durations; in the confirmation also words, spoken freely."""
        _expect_durations(runner)
        said: Sequence[Spoken] = reference  # type: ignore[assignment]  # what reference() returned
        outputs = [runner.run(one.feeds) for one in said]
        pairs = list(zip(said, outputs, strict=True))
        distances = [distance_db(one.sound, self.voice.sound(out)) for one, out in pairs]
        lengths = [len(one.sound.samples) for one in said]
        log_mel = float(np.average(distances, weights=lengths))
        wished = np.concatenate(
            [(o[UNROUNDED].astype(np.float64) - one.unrounded).ravel() for one, o in pairs]
        )
        off = float(np.nan_to_num(np.abs(wished), nan=np.inf).mean())
        same = np.concatenate([(o[ROUNDED] == one.rounded).ravel() for one, o in pairs])
        details = {
            "log-mel": log_mel,
            "duration error": off,
            "worst sentence": max(distances),
        }
        if self._recognizer is not None and split is Split.CONFIRMATION:
            details["words"] = self._same_words(runner, said)
        return Score(
            error=log_mel + _DB_PER_FRAME * off,
            agreement=float(same.mean()),
            positions=len(same),
            details=details,
        )

    def _same_words(self, runner: Runner, said: Sequence[Spoken]) -> float:
        heard = [
            self._words(self.voice.sound(runner.run({**one.feeds, **_free()})), Split.CONFIRMATION)
            for one in said
        ]
        return float(np.mean([h == one.words for h, one in zip(heard, said, strict=True)]))


def _free() -> dict[str, Array]:
    """Return the inputs that let a model choose its own durations."""
    return {FORCE: np.array([False]), FORCED: np.zeros(1, np.float32)}


def _expect_durations(runner: Runner) -> None:
    if not {ROUNDED, UNROUNDED} <= set(runner.outputs):
        raise InputError(
            "the model's durations cannot be seen", hint="open what the task's instrumented() gives"
        )


def _feeds(inputs: Sequence[Port], ids: NDArray[np.int64]) -> dict[str, Array]:
    """Return what voices of the VITS and hibari kinds are fed: no noise, normal speed, speaker 0.

    Errors:
        InputError: no input for ids.
    """
    feeds: dict[str, Array] = {}
    for port in inputs:
        if port.name in {FORCE, FORCED}:
            continue
        if port.type == "tensor(int64)":
            one = [ids.shape[1] if "length" in port.name else 0]
            feeds[port.name] = ids if len(port.shape) > 1 else np.array(one)
        elif port.name == "scales":  # Piper: noise, length, noise of durations
            feeds[port.name] = np.array([0.0, 1.0, 0.0], np.float32)
        else:
            scale = 0.0 if "noise" in port.name else 1.0
            feeds[port.name] = np.full([1] * len(port.shape), scale, np.float32)
    if not any(feed is ids for feed in feeds.values()):
        raise InputError(
            f"none of the inputs {', '.join(p.name for p in inputs)} takes phonemes",
            hint="is this a text-to-speech model? name another family",
        )
    return feeds


def _hibari(options: Options, files: Mapping[str, Path]) -> Voice:
    rare = open_model(files, options.oov) if options.oov else None
    spelling = hibari.spelling(rare)
    asked = texts.read("tts", texts.Texts)

    def sentences(split: Split) -> list[NDArray[np.int64]]:
        return [ids for text in getattr(asked, split) for ids in spelling.sentences(text)]

    def sound(outputs: Mapping[str, Array]) -> Audio:
        if missing := [name for name in hibari.OUTPUTS if name not in outputs]:
            raise InputError(
                f"the voice gives no {missing[0]}: it is not hibari's",
                hint="for a Piper voice set config to its .onnx.json",
            )
        spectrum = [np.asarray(outputs[name]) for name in hibari.OUTPUTS]
        return hibari.sound(spectrum, np.random.default_rng(_NOISE_SEED))

    return Voice(sentences, sound)


def _piper(name: str, files: Mapping[str, Path]) -> Voice:
    known = phonemes.read(located(files, name), name)

    def sentences(split: Split) -> list[NDArray[np.int64]]:
        return phonemes.sentences(known, _SENTENCES[split], seed=list(Split).index(split))

    def sound(outputs: Mapping[str, Array]) -> Audio:
        waves = [v for n, v in outputs.items() if n not in {ROUNDED, UNROUNDED}]
        return Audio(np.asarray(waves[0], np.float32).reshape(-1), known.rate_hz)

    return Voice(sentences, sound)


def task(options: Options, files: Mapping[str, Path]) -> Task:
    """Read the voice's front end.

    Errors:
        ConfigError: a file that is not there, or hibari's package is not installed.
        InputError: a configuration that describes no voice.
    """
    if options.config and options.oov:
        raise ConfigError(
            "oov is of hibari, config is of a Piper voice", hint="remove one of the two"
        )
    voice = _piper(options.config, files) if options.config else _hibari(options, files)
    return Tts(options, voice, files)
