"""Hears a pause before the VAD does: from how much quieter it gets than the speech before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from toolchain.formats.audio import Samples
from toolchain.voice.stage import LISTENING_HZ

_PART_SAMPLES = LISTENING_HZ // 100  # 10 ms: shorter than any sound of speech that carries meaning

_LINGERING_FRAMES = 4
"""128 ms: a detector may take so much of a pause for speech. Ours: twice what Silero does after the
reference clips."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """What is known of an utterance after some of its frames.

    A detector of speech is sure of a pause two or three frames after it began. The level tells at
    once, but not whether speech is over: the closure of a "t" is as quiet. So it is good for what
    can be thrown away again, and for nothing else; and where the detector goes on hearing speech,
    somebody speaks softly, and there is no pause.
    """

    peak: float = 0.0  # mean square of the loudest 10 ms
    quiet: int = 0  # frames in a row that are quieter than it by the range
    spoken: int = 0  # frames of speech until the last that was not quiet
    soft: int = 0  # frames since then that the detector takes for speech

    @property
    def pause(self) -> int:
        """Frames of the pause that the level shows; 0 where what is quiet is speech."""
        return self.quiet if self.soft <= _LINGERING_FRAMES else 0

    def after(self, frame: Samples, range_db: float, spoken: int) -> Self:
        """Return what is known after ``frame``, (n,) at 16 kHz, n at least 160.

        ``spoken`` is how many frames the detector has taken for speech until now, this one too.
        """
        whole = len(frame) // _PART_SAMPLES * _PART_SAMPLES
        parts = (frame[:whole].reshape(-1, _PART_SAMPLES) ** 2).mean(axis=1)
        loudest = float(parts.max())
        peak = max(self.peak, loudest)
        quiet = loudest < peak / 10 ** (range_db / 10)
        if not quiet:
            return replace(self, peak=peak, quiet=0, spoken=spoken, soft=0)
        return replace(self, peak=peak, quiet=self.quiet + 1, soft=spoken - self.spoken)
