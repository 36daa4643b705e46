"""Plays one turn: a clip goes in frame by frame, an answer comes out, and a clock counts.

The clock
    Time on the clock is time since the clip began. Frame k of the clip *arrives* when a microphone
    would have delivered it: at the end of its 32 ms, (k + 1) * 32. Work takes the wall time that it
    really took (``perf_counter``), on one thread, one piece after another; work on a frame cannot
    start before the frame has arrived, nor before the work before it is done. So the clock is the
    larger of arrival and backlog, plus work: a VAD slower than its frames, or an answer prepared
    while frames come in, delays all that follows.
    Nothing sleeps: where the application would wait for the next frame, the clock is set forward to
    the frame's arrival. No other time is assumed, added or left out.

What is prepared on suspicion
    After ``answer_frames`` frames of silence the answer is begun (transcribe, answer, speak), piece
    by piece in the time until the next frame arrives. When speech goes on, it is thrown away; its
    work stays on the clock. Nothing is heard before ``silence_frames`` frames of silence have
    decided the end of speech.

The numbers
    End of speech is the end of the last 10 ms before that decision whose level is within 40 dB of
    the clip's loudest 10 ms: a fact about the recording, not about the model under test.
    ``first_audio_ms`` is from there until the sound of the first clause is complete and the end of
    speech is decided. It contains the silence that decides (as audio time), the frame the decision
    waits for, any hesitation of the VAD, and all work that did not fit in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from toolchain.errors import ToolError
from toolchain.formats.audio import Audio, Samples
from toolchain.harness.scenario import FRAME_MS, Scenario
from toolchain.voice.endpoint import Endpoint
from toolchain.voice.engine import naming
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import FRAME_SAMPLES, LISTENING_HZ, Token
from toolchain.voice.text import split

_LEVEL_SAMPLES = LISTENING_HZ // 100  # 10 ms
_SPEECH_RANGE_DB = 40.0
"""Ours: on the reference clips every choice from 25 to 50 dB gives an end within 50 ms."""

_PRE_ROLL_FRAMES = 8  # 256 ms before the first frame of speech belong to it: soft beginnings (ours)
_MOST_SILENCE_FRAMES = (
    64  # 2 s of silence after a clip; a VAD that then still hears speech is wrong
)

T = TypeVar("T")


class Step(NamedTuple):
    """A piece of work towards the answer, and what came out of it."""

    stage: str
    ms: float
    result: str | Token | Audio | None


@dataclass
class Clock:
    """Milliseconds since the clip began; see the module."""

    now_ms: float = 0.0

    def arrive(self, at_ms: float) -> None:
        """Wait for something that arrives at ``at_ms``, unless it has."""
        self.now_ms = max(self.now_ms, at_ms)


@dataclass
class Answer:
    """An answer as far as it is computed: ``steps`` with the clock at the end of each."""

    work: Iterator[Step]
    utterance_ms: float
    steps: list[tuple[Step, float]] = field(default_factory=list)

    def advance(self, clock: Clock) -> bool:
        """Do one piece of work; return whether there was any."""
        step = next(self.work, None)
        if step is None:
            return False
        clock.now_ms += step.ms
        self.steps.append((step, clock.now_ms))
        return True


@dataclass(frozen=True)
class Played:
    """What happened in one turn."""

    probabilities: tuple[float, ...]
    vad_ms: float  # all frames together
    decided_ms: float  # on the clock
    answer: Answer


def play(pipeline: Pipeline, clip: Samples, scenario: Scenario, where: str) -> Played:
    """Play ``clip``, (n,) at 16 kHz, and let the application answer.

    Errors:
        ToolError: a stage failed, or heard or gave nothing; names the stage and ``where``.
    """
    clock, state, answer = Clock(), Endpoint(), None
    frames = _frames(clip)
    probabilities, vad_ms = [], 0.0
    heard = pipeline.vad.stream(iter(frames))
    for k in range(len(frames)):
        arrival_ms = (k + 1) * FRAME_MS
        while answer and clock.now_ms < arrival_ms and answer.advance(clock):
            pass
        clock.arrive(arrival_ms)
        ms, probability = timed("vad", where, lambda: next(heard))
        clock.now_ms += ms
        vad_ms += ms
        probabilities.append(probability)
        state = state.after(probability)
        if not state.silent:
            answer = None  # speech goes on: what was prepared is void
        elif state.silent == scenario.answer_frames:
            answer = _begin(pipeline, clip, state, where)
        if answer and state.silent >= scenario.silence_frames:
            decided_ms = clock.now_ms
            while answer.advance(clock):
                pass
            return Played(tuple(probabilities), vad_ms, decided_ms, answer)
    what = "no speech" if state.began is None else "no end of speech"
    raise ToolError(
        f"stage vad heard {what} in {where}",
        hint="listen to the clip; a VAD that a pass has damaged hears none either",
    )


def _frames(clip: Samples) -> list[Samples]:
    """Return the clip's frames, and silence after it as a microphone would go on delivering."""
    count = -(-len(clip) // FRAME_SAMPLES) + _MOST_SILENCE_FRAMES
    padded = np.pad(clip, (0, count * FRAME_SAMPLES - len(clip)))
    return list(padded.reshape(count, FRAME_SAMPLES))


def _begin(pipeline: Pipeline, clip: Samples, state: Endpoint, where: str) -> Answer:
    first = max(0, (state.began or 0) - _PRE_ROLL_FRAMES)
    utterance = clip[first * FRAME_SAMPLES : state.frames * FRAME_SAMPLES]
    ms = 1000 * len(utterance) / LISTENING_HZ
    return Answer(answering(pipeline, utterance, where), ms)


def answering(pipeline: Pipeline, utterance: Samples, where: str) -> Iterator[Step]:
    """Do the work of an answer, one step at a time: the transcript, each token, each sound.

    Errors:
        ToolError: a stage failed; names the stage and ``where``.
    """
    texts = pipeline.stt.stream([utterance])
    ms, text = timed("stt", where, lambda: next(texts))
    yield Step("stt", ms, text)
    tokens = pipeline.llm.stream([text])
    held: str | None = ""
    while held is not None:
        ms, token = timed("llm", where, lambda: next(tokens, None))
        yield Step("llm", ms, token)
        ready, held = split(held + token.text) if token else ([held], None)
        for clause in ready:
            yield from _speaking(pipeline, clause, where)


def _speaking(pipeline: Pipeline, clause: str, where: str) -> Iterator[Step]:
    sounds = pipeline.tts.stream([clause])
    while True:
        ms, sound = timed("tts", where, lambda: next(sounds, None))
        yield Step("tts", ms, sound)
        if sound is None:
            return


def timed(stage: str, where: str, work: Callable[[], T]) -> tuple[float, T]:
    """Return the wall milliseconds that ``work`` took, and its result.

    Errors:
        ToolError: the stage failed; names it and ``where``.
    """
    with naming(stage, where):
        start = time.perf_counter()
        result = work()
        return 1000 * (time.perf_counter() - start), result


def end_of_speech_ms(clip: Samples, until_ms: float) -> float:
    """Return when speech ended that was heard ``until_ms``; see the module.

    Shapes:
        clip: (n,) at 16 kHz, not all silent before ``until_ms``
    """
    heard = clip[: int(min(until_ms * LISTENING_HZ / 1000, len(clip)))]
    whole = len(heard) // _LEVEL_SAMPLES * _LEVEL_SAMPLES
    power = (heard[:whole].reshape(-1, _LEVEL_SAMPLES) ** 2).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() / 10 ** (_SPEECH_RANGE_DB / 10))
    return float(loud[-1] + 1) * 1000 * _LEVEL_SAMPLES / LISTENING_HZ
