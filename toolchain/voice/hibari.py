"""Hibari: text to speech; phonemes and signal processing by the hibari package, the model by us."""

from __future__ import annotations

import itertools
import json
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from toolchain.errors import ConfigError
from toolchain.formats.audio import Audio
from toolchain.tables import table
from toolchain.voice.engine import open_model
from toolchain.voice.hibari_front import front
from toolchain.voice.interface import expect
from toolchain.voice.running import run
from toolchain.voice.stage import Tts

_PAD = 0  # the model's ids begin and end with it
_MOST_PHONEMES = 400  # as in the package (tts.py, MAX_PHONEMES)
_MOST_DIGITS = 15  # ours; the package's own names end after 36 (hibari-tts 0.2.1, g2p)
_SEED = 0  # of the noise in the voice: the same text always sounds the same, so runs compare
OUTPUTS = ("lh", "theta", "ln", "lr", "phi", "f0")
"""The spectrum: (1, 601, frames) each, f0 (1, frames); a frame is 12.5 ms."""


RANGES: Mapping[str, tuple[float, float]] = {"speed": (0.25, 4.0)}
"""Of the numbers in ``Options``, both ends allowed. Ours: beyond that nobody understands it."""


@table
class Options:
    """``[voice.tts]`` for the adapter ``hibari``; ``oov`` is the project's model for rare words."""

    model: str
    oov: str | None = None
    speed: float = 1.0


@dataclass(frozen=True)
class Spelling:
    """Text to what the model reads; ``ids`` are those of the phonemes."""

    phonemes: Callable[[str], str]
    ids: Mapping[str, int]

    def sentences(self, clause: str) -> Iterator[NDArray[np.int64]]:
        """Yield the ids of each sentence, (1, n), as much of it as the model takes at once."""
        from hibari import Hibari as Front  # noqa: PLC0415 - an extra, checked by spelling

        for sentence in Front.split_sentences(speakable(clause)):
            known = "".join(p for p in self.phonemes(sentence) if p in self.ids)
            for part in textwrap.wrap(known, _MOST_PHONEMES, break_on_hyphens=False):
                yield np.array([[_PAD, *(self.ids[p] for p in part), _PAD]])


@dataclass(frozen=True)
class Hibari:
    """One call of the model a clause; what has no sound (an emoji alone) yields nothing."""

    session: ort.InferenceSession
    spelling: Spelling
    speed: float

    def stream(self, chunks: Iterable[str]) -> Iterator[Audio]:
        """Yield the sound of each sentence or clause, at 24 kHz."""
        rng = np.random.default_rng(_SEED)
        speed = np.array([self.speed], np.float32)
        for clause in chunks:
            for ids in self.spelling.sentences(clause):
                spectrum = run(self.session, OUTPUTS, {"ids": ids, "speed": speed})
                yield sound(spectrum, rng)


def speakable(text: str) -> str:
    """Return ``text`` without the numbers that the package cannot read aloud.

    Digits that are no decimals become some; a number longer than anybody can follow is read digit
    by digit.

    >>> speakable("\u2460 of 1234567890123456789")
    '1 of 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9'
    """
    plain = "".join(
        str(unicodedata.digit(c)) if c.isdigit() and not c.isdecimal() else c for c in text
    )
    runs = itertools.groupby(plain, lambda c: c.isdecimal() or c == ",")
    return "".join(_readable("".join(run)) if number else "".join(run) for number, run in runs)


def _readable(number: str) -> str:
    digits = sum(c.isdecimal() for c in number)
    return " ".join(number) if digits > _MOST_DIGITS else number


def sound(spectrum: Sequence[np.ndarray], rng: np.random.Generator) -> Audio:
    """Return what the model's ``OUTPUTS`` sound like; ``rng`` makes the noise in the voice."""
    from hibari import dsp  # noqa: PLC0415 - an extra, checked by spelling

    samples = dsp.synth(*(part[0] for part in spectrum), rng)
    return Audio(np.asarray(samples, np.float32), dsp.SR)


def spelling(oov: ort.InferenceSession | None = None) -> Spelling:
    """Read the dictionaries; ``oov`` spells what is not in them.

    Errors:
        ConfigError: the hibari package is not installed.
    """
    if find_spec("hibari") is None:
        raise ConfigError(
            "the adapter 'hibari' needs the hibari package for its phonemes",
            hint="pip install 'voice-toolchain[voice]'",
        )
    from hibari.tts import ASSETS  # noqa: PLC0415 - an extra

    ids = json.loads((Path(ASSETS) / "vocab.json").read_text("utf-8"))
    return Spelling(front(oov), ids)


def load(options: Options, files: Mapping[str, Path]) -> Tts:
    """Open the model and read the dictionaries.

    Errors:
        ConfigError, InputError: see ``engine``; or the hibari package is not installed.
    """
    session = open_model(files, options.model)
    expect(session, options.model, "tts", "hibari")
    rare = open_model(files, options.oov) if options.oov else None
    return Hibari(session, spelling(rare), options.speed)
