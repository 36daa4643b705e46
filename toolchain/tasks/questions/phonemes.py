"""Made-up words in a voice's own phonemes, for voices whose spelling rules are not at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.tables import table

_START, _END, _PAD = "^", "$", "_"
"""Piper writes a sentence as ^, pad, each phoneme with a pad after it, $ (piper_phonemize 1.1)."""

_VOWELS = "aeiouæɐɑɒɔəɛɜɪʊʌyøœ"  # noqa: RUF001 - phonetic letters are meant
_CONSONANTS = "bdfhjklmnprstvwzðŋɡɹɾʃʒθ"  # noqa: RUF001 - phonetic letters are meant
_WORDS = (4, 9)  # in a sentence
_SYLLABLES = (1, 4)  # in a word


@table
class Sounds:
    """How a Piper voice numbers its phonemes, and how many samples a second it gives."""

    ids: dict[str, tuple[int, ...]]
    rate_hz: int


def read(path: Path, name: str) -> Sounds:
    """Read a Piper voice's ``.onnx.json``.

    Errors:
        InputError: not such a file, or without phonemes to make a word of.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        ids = {str(k): tuple(map(int, v)) for k, v in document["phoneme_id_map"].items()}
        sounds = Sounds(ids, int(document["audio"]["sample_rate"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{name} does not describe a Piper voice: {error!r}",
            hint="give the .onnx.json that was published with the voice",
        ) from error
    if not {_START, _END, _PAD} <= ids.keys() or not all(_known(sounds)):
        raise InputError(
            f"{name}: too few phonemes are numbered in it to make a sentence",
            hint="phoneme_id_map needs ^, $, _, and some vowels and consonants of the IPA",
        )
    return sounds


def sentences(sounds: Sounds, count: int, seed: int) -> list[NDArray[np.int64]]:
    """Return ids of ``count`` sentences, (1, n) each: syllables of a consonant and a vowel."""
    generator = np.random.default_rng(seed)
    return [_ids(sounds, _sentence(sounds, generator)) for _ in range(count)]


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


def _ids(sounds: Sounds, phonemes: str) -> NDArray[np.int64]:
    pad = sounds.ids[_PAD]
    spelled = [*sounds.ids[_START], *pad]
    for phoneme in phonemes:
        if phoneme in sounds.ids:
            spelled += [*sounds.ids[phoneme], *pad]
    return np.array([[*spelled, *sounds.ids[_END]]], np.int64)
