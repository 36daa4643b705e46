"""Decides from the probabilities of speech when the user began to speak and when they finished."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

_SPEECH = 0.5
_SILENCE = 0.35
"""Speech begins at 0.5 and is over below 0.5 - 0.15: Silero's own defaults for all its models
(silero-vad 6.2.3, VADIterator). In between, what was goes on."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is known after ``frames`` frames."""

    frames: int = 0
    began: int | None = None  # the first frame of speech
    spoken: int = 0  # frames of speech since then
    silent: int = 0  # frames of silence in a row since the last one of speech

    def after(self, probability: float) -> Self:
        """Return what is known after one more frame with this probability of speech."""
        at = self.frames
        loud = probability >= _SPEECH
        began = self.began if self.began is not None or not loud else at
        if began is None or loud:
            silent = 0
        elif self.silent or probability < _SILENCE:
            silent = self.silent + 1
        else:
            silent = 0
        return replace(self, frames=at + 1, began=began, spoken=self.spoken + loud, silent=silent)
