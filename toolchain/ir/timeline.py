"""One turn as it went: who worked on what from when until when, and what was heard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Lane(StrEnum):
    """Whose time a span is; in the order in which a turn goes through them."""

    SAID = "said"  # the user speaks
    VAD = "vad"
    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    HEARD = "heard"  # the answer sounds


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasts; ms on the clock of the turn, which begins with the clip."""

    lane: Lane
    start_ms: float
    end_ms: float
    what: str  # frame, transcript, token, sound, nothing more
    text: str = ""  # what was said, understood or spoken
    probability: float | None = None  # of speech, of a frame
    kept: bool = True  # False: prepared on suspicion and thrown away

    @property
    def ms(self) -> float:
        """How long it lasts."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens at once."""

    what: str
    at_ms: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Resident:
    """The resident bytes of the application at a time of the turn."""

    at_ms: float
    size_bytes: int


END_OF_SPEECH, DECIDED, FIRST_AUDIO = "end of speech", "end decided", "first audio"
CLAUSE = "clause"


@dataclass(frozen=True, slots=True)
class Timeline:
    """One turn; spans sorted by lane and start, moments by time."""

    clip: str
    said: str
    spans: tuple[Span, ...]
    moments: tuple[Moment, ...]
    memory: tuple[Resident, ...]

    def at_ms(self, what: str) -> float | None:
        """Return when the first moment called ``what`` was; None if there was none."""
        return next((m.at_ms for m in self.moments if m.what == what), None)

    @property
    def first_audio_ms(self) -> float:
        """From the end of speech until the first sound could be heard; infinite if none was."""
        ended, heard = self.at_ms(END_OF_SPEECH), self.at_ms(FIRST_AUDIO)
        return math.inf if ended is None or heard is None else heard - ended

    def work_ms(self, lane: Lane, *, kept: bool = True) -> float:
        """Return the time of work on the answer that was heard, or on what was thrown away."""
        return sum(s.ms for s in self.spans if s.lane is lane and s.kept is kept)
