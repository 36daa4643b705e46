"""What one turn gave: words, sound, and the times of its parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from toolchain.errors import ToolError
from toolchain.formats.audio import Audio, Samples
from toolchain.harness.session import end_of_speech_ms
from toolchain.voice.assistant import Exchange
from toolchain.voice.stage import Token
from toolchain.voice.watching import Event

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds; the first three on the clock since the end of speech, the others work alone."""

    endpoint: float  # until the end of speech was decided
    first_token: float
    first_audio: float
    vad: float  # a frame
    stt: float
    llm_first: float
    llm: float
    tts_first: float
    tts: float
    utterance: float  # how long what was transcribed sounds
    spoken: float  # how long the answer sounds
    gap: float  # the longest silence between two sounds of the answer
    wasted: float  # work on answers that were thrown away


@dataclass(frozen=True, slots=True)
class Turn:
    """One clip, played once."""

    clip: str
    recorded: bool  # a recording of the project, not a question that the TTS spoke
    repeat: int
    expected: str  # what is said in the clip
    transcript: str
    answer: str
    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]  # of speech, a frame
    cut_off: bool  # the end of speech was decided before it came
    times: Times
    heard: str = ""  # what the STT hears in the spoken answer; only asked in the first repeat
    audio: str = ""  # file name of the spoken answer, where it was written

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what a report shows of the turn."""
        return (
            ("said", self.expected),
            ("understood", self.transcript),
            ("answered", self.answer),
            ("answer heard as", self.heard),
            ("first audio", f"{self.times.first_audio:.0f} ms"),
            ("audio", self.audio),
        )


@dataclass(frozen=True, slots=True)
class Clip:
    """Something that is said to the application: a wav file and its words."""

    name: str
    path: str
    text: str
    recorded: bool
    digest: str  # of the file: two runs with the same clips can be compared


def turn(played: Exchange, clip: Clip, samples: Samples, repeat: int) -> tuple[Turn, Audio]:
    """Return the turn and the sound of the answer.

    Errors:
        ToolError: nothing was answered, or nothing was heard of the answer.
    """
    tokens, sounds = _made(played, Token), _made(played, Audio)
    if not sounds:
        stage = "tts" if tokens else "llm" if played.transcript else "stt"
        raise ToolError(
            f"stage {stage} gave nothing in answer to {clip.name}",
            hint=f"run the model of [voice.{stage}] alone; was it damaged by a pass?",
        )
    assert played.decided_ms is not None  # noqa: S101 - it was answered
    whole = Audio(np.concatenate([s.what.samples for s in sounds]), sounds[0].what.rate_hz)
    ended_ms = end_of_speech_ms(samples, played.decided_ms)
    first_sound_ms = max(played.decided_ms, sounds[0].event.end_ms)
    times = Times(
        endpoint=played.decided_ms - ended_ms,
        first_token=tokens[0].event.end_ms - ended_ms,
        first_audio=first_sound_ms - ended_ms,
        vad=sum(frame.ms for frame in played.frames) / len(played.frames),
        stt=_work_ms(played, "stt"),
        llm_first=tokens[0].event.ms,
        llm=_work_ms(played, "llm"),
        tts_first=sounds[0].event.ms,
        tts=_work_ms(played, "tts"),
        utterance=played.utterance_ms,
        spoken=1000 * whole.seconds,
        gap=max(played.gaps_ms, default=0.0),
        wasted=played.wasted_ms,
    )
    return Turn(
        clip=clip.name,
        recorded=clip.recorded,
        repeat=repeat,
        expected=clip.text,
        transcript=played.transcript,
        answer="".join(t.what.text for t in tokens).strip(),
        tokens=tuple(t.what.id for t in tokens),
        probabilities=tuple(float(f.made) for f in played.frames),  # type: ignore[arg-type]  # the VAD's
        cut_off=played.decided_ms < end_of_speech_ms(samples, math.inf),
        times=times,
    ), whole


class _Made(NamedTuple, Generic[T]):
    what: T
    event: Event


def _made(played: Exchange, kind: type[T]) -> list[_Made[T]]:
    return [_Made(e.made, e) for e in played.events if isinstance(e.made, kind)]


def _work_ms(played: Exchange, stage: str) -> float:
    return sum(event.ms for event in played.events if event.stage == stage)
