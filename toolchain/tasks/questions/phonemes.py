"""Made-up words in a voice's own phonemes, for voices whose spelling rules are not at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.voice import piper_config
from toolchain.voice.piper_config import Sounds as Sounds  # noqa: PLC0414 - also of this module

_VOWELS = "aeiouæɐɑɒɔəɛɜɪʊʌyøœ"  # noqa: RUF001 - phonetic letters are meant
_CONSONANTS = "bdfhjklmnprstvwzðŋɡɹɾʃʒθ"  # noqa: RUF001 - phonetic letters are meant
_WORDS = (4, 9)  # in a sentence
_SYLLABLES = (1, 4)  # in a word


def read(path: Path, name: str) -> Sounds:
    """Read a Piper voice's ``.onnx.json``.

    Errors:
        InputError: not such a file, or without phonemes to make a word of.
    """
    sounds = piper_config.read(path, name)
    if not all(_known(sounds)):
        raise InputError(
            f"{name}: too few phonemes are numbered in it to make a sentence",
            hint="phoneme_id_map needs some vowels and consonants of the IPA",
        )
    return sounds


def sentences(sounds: Sounds, count: int, seed: int) -> list[NDArray[np.int64]]:
    """Return ids of ``count`` sentences, (1, n) each: syllables of a consonant and a vowel."""
    generator = np.random.default_rng(seed)
    return [sounds.sentence(_sentence(sounds, generator)) for _ in range(count)]


def _sentence(sounds: Sounds, generator: np.random.Generator) -> str:
    vowels, consonants = _known(sounds)
    words = [
        "".join(
            generator.choice(consonants) + generator.choice(vowels)
            for _ in range(generator.integers(*_SYLLABLES))
        )
        for _ in range(generator.integers(*_WORDS))
    ]
    return " ".join(words) + "."


def _known(sounds: Sounds) -> tuple[Sequence[str], Sequence[str]]:
    return [v for v in _VOWELS if v in sounds.ids], [c for c in _CONSONANTS if c in sounds.ids]
