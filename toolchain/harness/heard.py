"""What VAD and STT made of a clip in some condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.voice.stage import LISTENING_HZ

MOST_SAMPLES = 60 * LISTENING_HZ
"""A longer clip is heard as it is, and in no other condition: eight times half an hour would take
the time of all turns a hundred times over. Ours."""


class Frames(NamedTuple):
    """How often a VAD and the recording agree, in frames."""

    hits: int  # both say speech
    false: int  # only the VAD does
    missed: int  # only the recording does

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall.

        >>> Frames(hits=8, false=2, missed=2).f1
        0.8
        """
        return 2 * self.hits / max(1, 2 * self.hits + self.false + self.missed)


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one clip in one condition."""

    condition: str
    clip: str
    transcript: str
    frames: Frames
    end_error_ms: (
        float | None
    )  # of the last frame that the VAD takes for speech; None: it heard none


def pooled(heard: Sequence[Heard]) -> Frames:
    """Return the frames of several clips together."""
    return Frames(*(sum(column) for column in zip(*(h.frames for h in heard), strict=True)))
