"""The work of one answer: transcript, tokens, clauses, sound; in one thread or one a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from toolchain.formats.audio import Audio, Samples
from toolchain.voice.lanes import Activity, Channel, Gate, ahead
from toolchain.voice.running import Cancellation
from toolchain.voice.stage import Llm, Stage, Token
from toolchain.voice.text import FIRST_CHARS, MOST_CHARS, split
from toolchain.voice.watching import Clause, Event, Guard, Transcript, Watch, hung

_DEPTH = 64
"""Events between two stages: an answer of 64 tokens (15 s of speech) waits for its speaker at most;
then the language model waits. Ours."""

Events = Iterator[Event]
Reply = Callable[[str], Iterator[Token]]
"""How the language model answers a question: by itself, or in a conversation."""


def understood(stt: Stage[Samples, str], utterance: Samples, watch: Watch) -> Events:
    """Yield the transcript of ``utterance``, (n,) at 16 kHz."""
    texts = (Transcript(text) for text in stt.stream([utterance]))
    yield next(watch.pieces("stt", texts))


def answered(reply: Reply, events: Iterable[Event], watch: Watch) -> Events:
    """Add the tokens of the answer to the transcript; to silence there is none."""
    for event in events:
        yield event
        if isinstance(event.made, Transcript) and event.made.text:
            yield from watch.pieces("llm", reply(event.made.text))


def phrased(
    events: Iterable[Event], *, whole: bool = False, first_chars: int = FIRST_CHARS
) -> Events:
    """Add the clauses of the answer, each where it is certain; ``whole``: one, at the end."""
    held, at_ms, most = "", 0.0, first_chars
    for event in events:
        yield event
        if event.stage != "llm":
            continue
        at_ms = event.end_ms
        if isinstance(event.made, Token):
            held += event.made.text
            ready, held = ([], held) if whole else split(held, most)
            most = MOST_CHARS if ready else most
        else:
            ready, held = [held.strip()] if held.strip() else [], ""
        yield from (Event("clause", at_ms, at_ms, Clause(text)) for text in ready)


def yielding(events: Iterable[Event], gate: Gate) -> Events:
    """Let the speaker go first: after the first clause, go on when its first sound is made.

    Two models that compute at once on two cores slow each other down, and only one of them is
    waited for. Measured: see docs/measuring.md, `nox -s ablation`.
    """
    for event in events:
        yield event
        if isinstance(event.made, Clause):
            gate.wait()


def opening(events: Iterable[Event], gate: Gate) -> Events:
    """Open the gate with the first sound, or where there is none."""
    for event in events:
        yield event
        if event.stage == "tts":
            gate.open()


def spoken(tts: Stage[str, Audio], events: Iterable[Event], watch: Watch) -> Events:
    """Add the sound of each clause."""
    for event in events:
        yield event
        if isinstance(event.made, Clause):
            yield from watch.pieces("tts", tts.stream([event.made.text]))


class Speaker(Protocol):
    """What an answer is made with: the stages behind it are those of ``pipeline.Pipeline``."""

    @property
    def stt(self) -> Stage[Samples, str]:
        """Utterances to text."""
        ...

    @property
    def llm(self) -> Llm:
        """Questions to tokens."""
        ...

    @property
    def tts(self) -> Stage[str, Audio]:
        """Clauses to sound."""
        ...


class Work(Protocol):
    """The work of an answer, going on."""

    def take(self, until_ms: float) -> tuple[Event, ...]:
        """Return the next event if it happens before ``until_ms``, else ().

        Errors:
            ToolError: a stage failed; names it and where.
        """
        ...

    def settle(self, until_ms: float) -> tuple[Event, ...]:
        """Take nothing, and wait until nobody works, at most until ``until_ms``; return ().

        Errors:
            ToolError: a stage took too long.
        """
        ...

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        ...

    def stop(self) -> float:
        """End the work; return how many milliseconds passed until nothing was in flight."""
        ...


@dataclass(frozen=True)
class Asked:
    """What an answer is made of."""

    stages: Speaker
    utterance: Samples
    reply: Reply
    whole: bool  # speak the answer as a whole, not clause by clause
    first_chars: int = FIRST_CHARS  # the first clause ends at a space before so many

    def phrased(self, events: Iterable[Event]) -> Events:
        """Add the clauses of the answer to its tokens."""
        return phrased(events, whole=self.whole, first_chars=self.first_chars)


class InTurn:
    """All stages in the thread that asks: a piece of work begins when the last one is done.

    A watchdog stops a model that runs for longer than ``patience_ms``; Python code of a stage that
    does not come back cannot be stopped in its own thread.
    """

    def __init__(self, asked: Asked, watch: Watch, patience_ms: float) -> None:
        self._watch, self._guard = watch, Guard(watch, patience_ms)
        heard = understood(asked.stages.stt, asked.utterance, watch)
        clauses = asked.phrased(answered(asked.reply, heard, watch))
        self._events = spoken(asked.stages.tts, clauses, watch)
        self.over = False

    def take(self, until_ms: float) -> tuple[Event, ...]:
        """Do the next piece of work, unless ``until_ms`` has passed."""
        if self.over or self._watch.clock.now_ms() >= until_ms:
            return ()
        event = None
        try:
            with self._guard.guarding():
                event = next(self._events, None)
        finally:
            if event is None:
                self._end()
        return () if event is None else (event,)

    def settle(self, until_ms: float) -> tuple[Event, ...]:
        """Nobody works between two pieces."""
        del until_ms
        return ()

    def _end(self) -> None:
        self.over = True
        self._guard.end()

    def stop(self) -> float:
        """Forget the work; nothing is in flight between two pieces."""
        self._end()
        self._events.close()  # type: ignore[attr-defined]  # it is a generator
        return 0.0


class SideBySide:
    """Each stage in a thread of its own, with a bounded channel to the next."""

    def __init__(self, asked: Asked, watch: Watch, patience_ms: float) -> None:
        self._watch, self._patience_ms = watch, patience_ms
        self._activity, self._cancellation = Activity(), Cancellation()
        self._channels: list[Channel[Event]] = []
        heard = self._lane(understood(asked.stages.stt, asked.utterance, watch))
        answer = asked.phrased(answered(asked.reply, heard, watch))
        gate = Gate(self._activity, self._cancellation)
        clauses = self._lane(yielding(answer, gate))
        self._last = self._lane(opening(spoken(asked.stages.tts, clauses, watch), gate))

    def _lane(self, source: Iterator[Event]) -> Channel[Event]:
        channel = ahead(source, _DEPTH, self._activity, self._cancellation)
        self._channels.append(channel)
        return channel

    def take(self, until_ms: float) -> tuple[Event, ...]:
        """Return the next event if it happens before ``until_ms``.

        Errors:
            ToolError: a stage failed, or took longer than the patience.
        """
        events = self._last.take(until_ms, self._watch.clock)
        return events or self._in_time()

    def settle(self, until_ms: float) -> tuple[Event, ...]:
        """Wait until all threads have nothing to do, at most until ``until_ms``."""
        left_ms = until_ms - self._watch.clock.now_ms()
        self._activity.quiet(max(0.0, left_ms) / 1000)
        return self._in_time()

    def _in_time(self) -> tuple[Event, ...]:
        if stage := self._watch.late(self._patience_ms):
            self.stop()
            raise hung(stage, self._watch.where, self._patience_ms)
        return ()

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._last.over

    def stop(self) -> float:
        """Stop all models and threads; a thread that does not end in a second is left alone."""
        start_ms = self._watch.clock.now_ms()
        self._cancellation.cancel()
        for channel in self._channels:
            channel.close()
        self._activity.quiet(_LEAVE_ALONE_S)
        return self._watch.clock.now_ms() - start_ms


_LEAVE_ALONE_S = 1.0  # ours: a model stops in 10 ms; what takes a second hangs in other code
