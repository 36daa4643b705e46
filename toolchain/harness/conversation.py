"""Plays a whole conversation: question after question in one session, some answers interrupted."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.errors import ToolError
from toolchain.formats.audio import Audio, Samples
from toolchain.harness import memory
from toolchain.harness.scenario import Conversation
from toolchain.harness.session import SILENCE, end_of_speech_ms, framed
from toolchain.voice.assistant import Assistant, Exchange, Hearing
from toolchain.voice.clock import Clock
from toolchain.voice.engine import give_back
from toolchain.voice.stage import FRAME_MS, Token

_MOST_WAIT_FRAMES = 3_750  # 2 minutes for a question to be heard and its answer to be spoken (ours)


class Line(NamedTuple):
    """Something that is said: its name, and (n,) samples at 16 kHz."""

    name: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class Remark:
    """One turn of the conversation."""

    clip: str
    transcript: str
    answer: str
    first_audio_ms: float | None  # since the end of speech; None: nothing was heard
    gap_ms: float  # the longest silence between two sounds of the answer
    interrupted: bool
    stopping_ms: float  # from the interruption until no model worked on the answer
    wasted_ms: float  # work on answers that were thrown away
    resident: int  # bytes of the process after the turn
    error: str


class Microphone:
    """What reaches the application, frame by frame, and the clock that says when."""

    def __init__(self, assistant: Assistant, clock: Clock) -> None:
        self._assistant, self._clock, self._frames = assistant, clock, 0

    @property
    def now_ms(self) -> float:
        """When the last frame arrived."""
        return self._frames * FRAME_MS

    def deliver(self, frame: Samples) -> None:
        """Let the application work until ``frame`` arrives, and hear it then."""
        self._frames += 1
        self._assistant.work(self.now_ms)
        self._clock.arrive(self.now_ms)
        self._assistant.hear(frame)

    def silence_while(self, going_on: Callable[[], bool], what: str) -> None:
        """Deliver silence as long as something is going on.

        Errors:
            ToolError: it goes on for two minutes.
        """
        for _ in range(_MOST_WAIT_FRAMES):
            if not going_on():
                return
            self.deliver(SILENCE)
        raise ToolError(
            f"{what} did not come to its end in two minutes of silence",
            hint="listen to the clip; a VAD that a pass has damaged hears no end either",
        )


def converse(
    stages: Hearing, lines: Sequence[Line], asked: Conversation, say: Callable[[int, str], None]
) -> Iterator[Remark]:
    """Yield what became of each question.

    The clock goes on over all turns (``voice.clock``); the next question begins ``pause_ms`` after
    the last sound of an answer has been heard. An answer that is to be interrupted is spoken into
    by the next question, ``interrupt_after_ms`` after its first sound.

    Errors:
        ToolError: a question was not heard, or its end was not.
    """
    clock = Clock(real_time=bool(asked.real_time))
    assistant = Assistant(stages, asked.manner, clock, remembers=True)
    try:
        yield from _turns(assistant, Microphone(assistant, clock), lines, asked, say)
    finally:
        assistant.close()


def _turns(
    assistant: Assistant,
    microphone: Microphone,
    lines: Sequence[Line],
    asked: Conversation,
    say: Callable[[int, str], None],
) -> Iterator[Remark]:
    open_turns: list[_Turn] = []  # an interruption is known when the next question was heard
    for turn in range(asked.turns):
        line = lines[turn % len(lines)]
        say(turn, line.name)
        assistant.where = f"turn {turn + 1}, {line.name}"
        began_ms, heard = microphone.now_ms, len(assistant.exchanges)
        for frame in framed(line.samples):
            microphone.deliver(frame)
        microphone.silence_while(lambda n=heard: len(assistant.exchanges) == n, assistant.where)  # type: ignore[misc]  # n is bound now
        open_turns.append(_Turn(assistant.exchanges[heard], line, began_ms))
        last = turn + 1 == asked.turns
        cut = bool(asked.interrupt_every) and (turn + 1) % asked.interrupt_every == 0 and not last
        _let_answer(microphone, assistant, asked, cut=cut)
        if not cut:
            for one in open_turns:
                remark = _remark(one)
                one.exchange.forgets()  # its sound is megabytes, and not the application's
                one.exchange.frames.clear()  # nor are 30 figures a second of what the VAD heard
                yield remark
            open_turns.clear()


class _Turn(NamedTuple):
    exchange: Exchange
    line: Line
    began_ms: float


def _let_answer(
    microphone: Microphone, assistant: Assistant, asked: Conversation, *, cut: bool
) -> None:
    """Wait until the answer has been heard, or as much of it as somebody lets pass."""
    microphone.silence_while(lambda: not assistant.heard_anything, assistant.where)
    if cut:
        until_ms = microphone.now_ms + asked.interrupt_after_ms
        microphone.silence_while(
            lambda: assistant.speaking and microphone.now_ms < until_ms, assistant.where
        )
        return
    microphone.silence_while(lambda: assistant.speaking, assistant.where)
    until_ms = microphone.now_ms + asked.pause_ms
    microphone.silence_while(lambda: microphone.now_ms < until_ms, assistant.where)


def _remark(turn: _Turn) -> Remark:
    one, line, began_ms = turn
    sounds = [e for e in one.events if isinstance(e.made, Audio)]
    first_ms = None
    if sounds and one.decided_ms is not None:
        ended_ms = began_ms + end_of_speech_ms(line.samples, one.decided_ms - began_ms)
        first_ms = max(sounds[0].end_ms, one.decided_ms) - ended_ms
    return Remark(
        clip=line.name,
        transcript=one.transcript,
        answer="".join(e.made.text for e in one.events if isinstance(e.made, Token)).strip(),
        first_audio_ms=first_ms,
        gap_ms=max(one.gaps_ms, default=0.0),
        interrupted=one.barged_in_ms is not None,
        stopping_ms=one.stopping_ms,
        wasted_ms=one.wasted_ms,
        resident=_settled(),
        error=str(one.error or ""),
    )


def _settled() -> int:
    """Return the resident bytes after collection: what a turn has left behind."""
    gc.collect()
    give_back()
    return memory.resident()


def growth(resident: Sequence[int], after: int = 10) -> int | None:
    """Return how far memory rose after turn ``after`` above its highest until then, in bytes.

    Highest against highest, since a context that fills and is halved goes up and down by itself.
    None: too few turns.

    >>> growth([5, 9, 6, 9, 8], after=2), growth([5, 9, 6, 12, 8], after=2)
    (0, 3)
    """
    if len(resident) <= after:
        return None
    return max(0, max(resident[after:]) - max(resident[:after]))
