"""What a Piper voice's ``.onnx.json`` says: how phonemes are numbered, how the voice speaks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.tables import table

START, END, PAD = "^", "$", "_"
"""Piper writes a sentence as ^, pad, each phoneme with a pad after it, $ (piper_phonemize 1.1)."""


@table
class Sounds:
    """How a Piper voice numbers its phonemes, and how many samples a second it gives.

    ``kind`` is "espeak" or "text" (its letters are its phonemes); ``scales`` are the noise, the
    length of sounds and the noise of their lengths, with Piper's own defaults.
    """

    ids: dict[str, tuple[int, ...]]
    rate_hz: int
    kind: str = "espeak"
    voice: str = "en-us"
    scales: tuple[float, float, float] = (0.667, 1.0, 0.8)
    speakers: Mapping[str, int] = field(default_factory=dict)
    replaced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sentence(self, phonemes: Iterable[str]) -> NDArray[np.int64]:
        """Return the ids of a sentence, (1, n); phonemes that have no number are left out."""
        pad = self.ids[PAD]
        spelled = [*self.ids[START], *pad]
        for phoneme in phonemes:
            for one in self.replaced.get(phoneme, (phoneme,)):
                if one in self.ids:
                    spelled += [*self.ids[one], *pad]
        return np.array([[*spelled, *self.ids[END]]], np.int64)


def read(path: Path, name: str) -> Sounds:
    """Read a Piper voice's ``.onnx.json``.

    Errors:
        InputError: not such a file.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        sounds = _sounds(document)
    except _WRONG as error:
        raise InputError(
            f"{name} does not describe a Piper voice: {error!r}"[:300],
            hint="give the .onnx.json that was published with the voice",
        ) from error
    if missing := [p for p in (START, END, PAD) if p not in sounds.ids]:
        raise InputError(
            f"{name} numbers no {missing[0]!r}, which each sentence has",
            hint="give the .onnx.json that was published with the voice",
        )
    return sounds


_WRONG = (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
_RATES_HZ = range(1_000, 768_001)  # as of wav files
_MOST_PHONEMES = 100_000  # voices number 130 to 256 of them. Ours


def _within(number: int, allowed: range, what: str) -> int:
    if number not in allowed:
        raise ValueError(f"{number} is no {what}")
    return number


def _scale(number: float) -> float:
    if not 0 <= number < math.inf:
        raise ValueError(f"{number} is no scale")
    return number


def _sounds(document: Any) -> Sounds:  # noqa: ANN401 - JSON
    inference = document.get("inference") or {}
    names = ("noise_scale", "length_scale", "noise_w")
    noise, length, widths = (
        _scale(float(inference.get(name, default)))
        for name, default in zip(names, Sounds.scales, strict=True)
    )
    return Sounds(
        ids={
            str(k): tuple(_within(int(one), range(_MOST_PHONEMES), "phoneme") for one in v)
            for k, v in document["phoneme_id_map"].items()
        },
        rate_hz=_within(int(document["audio"]["sample_rate"]), _RATES_HZ, "sample rate"),
        kind=str(document.get("phoneme_type") or "espeak"),
        voice=str((document.get("espeak") or {}).get("voice") or "en-us"),
        scales=(noise, length, widths),
        speakers={str(k): int(v) for k, v in (document.get("speaker_id_map") or {}).items()},
        replaced={
            str(k): tuple(map(str, v)) for k, v in (document.get("phoneme_map") or {}).items()
        },
    )
