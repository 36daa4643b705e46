"""Piper voices (VITS): phonemes by espeak-ng, sound by the model."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Audio
from toolchain.tables import table
from toolchain.voice import espeak
from toolchain.voice.engine import RUNTIME_ERRORS, located, open_model
from toolchain.voice.interface import expect
from toolchain.voice.piper_config import Sounds, read
from toolchain.voice.running import run
from toolchain.voice.stage import Tts

_SEED = 0
"""Of the noise in the voice: onnxruntime gives each model opened after it the same numbers. So an
application that is started anew says the same texts with the same sound; a text said twice in one
run sounds a little different, unless noise_scale and noise_w are 0."""

_MOST_PHONEMES = (
    400  # at once, some 30 s: the encoder's memory grows by the square. Ours, as hibari
)

_MARKS = dict(
    zip("\u3002\uff01\uff1f\u2026\uff0c\u3001\uff1b\uff1a\u2014", ".!?.,,;:,", strict=True)
)
_MARKS |= {mark: mark for mark in ".!?,;:"}
_ENDS = frozenset(".!?")
"""Punctuation and the phoneme that stands for it; after an end the voice begins anew (piper-tts
1.8, phonemize_espeak.py; full-width forms are ours)."""

_WIDE = frozenset("\u3002\uff01\uff1f\uff0c\u3001\uff1b\uff1a")  # no space follows them


RANGES: Mapping[str, tuple[float, float]] = {
    "speed": (0.25, 4.0),
    "speaker": (0, 1_000_000),
    "noise_scale": (0.0, 2.0),
    "noise_w": (0.0, 2.0),
}
"""Of the numbers in ``Options``, both ends allowed. Ours: voices are published with noise below 1,
and beyond these speeds nobody understands them."""


@table
class Options:
    """``[voice.tts]`` for the adapter ``piper``; ``config`` is the voice's ``.onnx.json``.

    ``speaker`` is a name in ``speaker_id_map`` or a number. ``noise_scale`` and ``noise_w`` are
    the configuration's unless given; with 0 the same text always sounds the same.
    """

    model: str
    config: str
    speed: float = 1.0
    speaker: str | int = 0
    noise_scale: float | None = None
    noise_w: float | None = None


@dataclass(frozen=True)
class Piper:
    """One call of the model a sentence; what has no sound yields nothing."""

    session: ort.InferenceSession
    sounds: Sounds
    fixed: Mapping[str, NDArray[np.generic]]  # scales and speaker

    def stream(self, chunks: Iterable[str]) -> Iterator[Audio]:
        """Yield the sound of each sentence or clause, at the voice's sample rate.

        Errors:
            ConfigError, ToolError: see ``espeak``.
        """
        for chunk in chunks:
            for sentence in sentences(chunk):
                for part in textwrap.wrap(self._phonemes(sentence), _MOST_PHONEMES):
                    yield self._sound(part)

    def _phonemes(self, sentence: list[tuple[str, str]]) -> str:
        said = [(self._spelled(words), mark) for words, mark in sentence]
        return " ".join(f"{spelled}{mark}" for spelled, mark in said if spelled)

    def _spelled(self, words: str) -> str:
        spelled = words if self.sounds.kind == "text" else espeak.phonemes(words, self.sounds.voice)
        return unicodedata.normalize("NFD", spelled)

    def _sound(self, phonemes: str) -> Audio:
        ids = self.sounds.sentence(phonemes)
        feeds = {"input": ids, "input_lengths": np.array([ids.shape[1]]), **self.fixed}
        samples = run(self.session, None, feeds)[0]
        return Audio(np.asarray(samples, np.float32).reshape(-1), self.sounds.rate_hz)


def sentences(text: str) -> Iterator[list[tuple[str, str]]]:
    """Yield the sentences of ``text`` as clauses, each with the mark at its end.

    >>> list(sentences("Well, it is 3.14! Is it"))
    [[('Well', ','), ('it is 3.14', '!')], [('Is it', '')]]
    """
    sentence: list[tuple[str, str]] = []
    words = ""
    for at, char in enumerate(text):
        after = text[at + 1 : at + 2]
        if char not in _MARKS or (after.strip() and char not in _WIDE and after not in _MARKS):
            words += char
            continue
        if words.strip():
            sentence.append((words.strip(), _MARKS[char]))
        words = ""
        if sentence and _MARKS[char] in _ENDS:
            yield sentence
            sentence = []
    if words.strip():
        sentence.append((words.strip(), ""))
    if sentence:
        yield sentence


def load(options: Options, files: Mapping[str, Path]) -> Tts:
    """Open the model, read its configuration, and say one sound.

    Errors:
        ConfigError, InputError: see ``engine``, ``piper_config`` and ``espeak``; or the voice has
            no such speaker, takes other phonemes, or is not the one of the configuration.
    """
    sounds = read(located(files, options.config), options.config)
    if sounds.kind not in {"espeak", "text"}:
        raise InputError(
            f"{options.config} takes phonemes of the kind {sounds.kind!r}",
            hint="known kinds: espeak, text",
        )
    ort.set_seed(_SEED)
    session = open_model(files, options.model)
    expect(session, options.model, "tts", "piper")
    voice = Piper(session, sounds, _fixed(options, sounds, session))
    if sounds.kind == "espeak":
        espeak.phonemes("a", sounds.voice)
    _try(voice, options)
    return voice


def _fixed(
    options: Options, sounds: Sounds, session: ort.InferenceSession
) -> dict[str, NDArray[np.generic]]:
    """Return the inputs that are the same for every sentence."""
    if options.speed <= 0:
        raise ConfigError(f"voice.tts: a speed of {options.speed}", hint="1.0 is normal speed")
    noise, length, widths = sounds.scales
    noise = noise if options.noise_scale is None else options.noise_scale
    widths = widths if options.noise_w is None else options.noise_w
    scales = np.array([noise, length / options.speed, widths], np.float32)
    number = _speaker(options, sounds)
    if "sid" in {i.name for i in session.get_inputs()}:
        return {"scales": scales, "sid": np.array([number])}
    if number:
        raise ConfigError(f"{options.model} has one speaker only", hint="remove speaker")
    return {"scales": scales}


def _speaker(options: Options, sounds: Sounds) -> int:
    if isinstance(options.speaker, int):
        return options.speaker
    if options.speaker not in sounds.speakers:
        raise ConfigError(
            f"{options.config} has no speaker {options.speaker!r}",
            hint=f"speakers: {', '.join(list(sounds.speakers)[:12]) or 'none has a name'}",
        )
    return sounds.speakers[options.speaker]


def _try(voice: Piper, options: Options) -> None:
    """Say the sound with the highest number: what the model lacks is told now, not in a turn."""
    last = max(voice.sounds.ids, key=lambda p: max(voice.sounds.ids[p], default=0))
    try:
        voice._sound(last)  # noqa: SLF001 - of this module
    except RUNTIME_ERRORS as error:
        raise InputError(
            f"{options.model} cannot say what {options.config} numbers: "
            f"{' '.join(str(error).split())[:200]}",
            hint="give the .onnx.json that was published with the voice, and a speaker it has",
        ) from error
