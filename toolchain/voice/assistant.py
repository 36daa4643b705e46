"""Takes turns with a user: listens, prepares on suspicion, answers, falls silent on barge-in.

What is prepared on suspicion
    After ``answer_frames`` frames of silence the answer is begun: transcribed, answered, spoken.
    Silence is here also what is quieter than the utterance by ``quiet_db``: the VAD is sure two or
    three frames later, or it was soft speech. When speech goes on, what was prepared is thrown
    away. Nothing is heard before the end of speech is decided: by ``silence_frames`` frames of
    silence, or by ``sure_frames`` if what was understood ends as sentences do.

Barge-in
    Speech of ``barge_in_frames`` frames while the assistant answers ends the answer: no more of it
    is heard from that frame on, all models that work on it are stopped, and the speech begins the
    next turn.

Back-pressure
    Sound is taken from the stages while less than ``lead_ms`` of it wait to be heard; then the
    channels fill, and the stages wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from toolchain.errors import VtoolError
from toolchain.formats.audio import Audio, Samples
from toolchain.voice.answering import Asked, InTurn, SideBySide, Speaker, Work
from toolchain.voice.clock import Clock
from toolchain.voice.ears import Ears
from toolchain.voice.endpoint import Endpoint
from toolchain.voice.engine import about, naming
from toolchain.voice.loudness import Loudness
from toolchain.voice.stage import FRAME_SAMPLES, LISTENING_HZ, Token, Vad
from toolchain.voice.text import FIRST_CHARS
from toolchain.voice.watching import Event, Transcript, Watch

_PRE_ROLL_FRAMES = 8  # 256 ms before the first frame of speech belong to it: soft beginnings (ours)
_TAIL_FRAMES = 2
"""64 ms of silence after what was cut off where the level fell: without it two of nine clips lose
their full stop, and with it the sooner end of a whole sentence; with one to four frames none do."""
_ENDINGS = frozenset(".?!…")


@dataclass(frozen=True, slots=True)
class Manner:
    """How turns are taken; each technique can be left out by its number or its switch."""

    silence_frames: int  # of silence that end speech
    answer_frames: int  # of silence after which the answer is prepared
    sure_frames: int  # of silence that end speech which was understood as a whole sentence
    least_frames: int = 3  # of speech: 96 ms; shorter is a click, no utterance (ours)
    barge_in_frames: int = 3  # of speech that end an answer: 96 ms, for the same reason
    most_frames: int = (
        937  # 30 s: then the utterance is taken as it is; models hear no more at once
    )
    lead_ms: float = 5_000  # of sound that wait to be heard: long enough for any clause (ours)
    patience_ms: float = 20_000  # for one piece of work; then its stage is taken to hang (ours)
    threads: bool = True  # one a stage; else all in the thread that hears
    whole: bool = False  # speak the answer as a whole, not clause by clause
    first_chars: int = FIRST_CHARS  # the first clause ends at a space before so many
    quiet_db: float = 0.0  # below the loudest 10 ms: prepare before the VAD is sure; 0: wait for it


class Hearing(Speaker, Protocol):
    """The four stages: ``pipeline.Pipeline``."""

    @property
    def vad(self) -> Vad:
        """Frames to the probability of speech."""
        ...


@dataclass
class Exchange:
    """An utterance and what came of it; times in ms on the clock."""

    utterance_ms: float = 0.0  # how long what was transcribed sounds
    frames: list[Event] = field(default_factory=list)  # what the VAD made of each: a probability
    events: list[Event] = field(default_factory=list)
    prepared: int = 0  # answers begun on suspicion
    wasted_ms: float = 0.0  # work on those that were thrown away
    decided_ms: float | None = None  # when the end of speech was decided
    heard_until_ms: float = 0.0  # when the last sound that was taken has been heard
    gaps_ms: list[float] = field(default_factory=list)  # silences between the answer's sounds
    barged_in_ms: float | None = None  # when the user began to speak into the answer
    stopping_ms: float = 0.0  # from then until nothing was in flight
    error: VtoolError | None = None

    def takes(self, event: Event) -> None:
        """Note an event; sound is heard after the decision, and after the sound before it."""
        self.events.append(event)
        if isinstance(event.made, Audio):
            self._sounds(event)

    def _sounds(self, event: Event) -> None:
        assert isinstance(event.made, Audio)  # noqa: S101 - for the type checker
        starts_ms = max(event.end_ms, self.decided_ms or 0.0, self.heard_until_ms)
        if self.heard_until_ms:
            self.gaps_ms.append(starts_ms - self.heard_until_ms)
        self.heard_until_ms = starts_ms + 1000 * event.made.seconds

    def decided(self, at_ms: float) -> None:
        """Note that speech has ended: what was prepared is heard from now on."""
        self.decided_ms = at_ms
        sounds = [e for e in self.events if isinstance(e.made, Audio)]
        self.heard_until_ms, self.gaps_ms = 0.0, []
        for event in sounds:
            self._sounds(event)

    def forgets(self) -> None:
        """Void what was prepared: speech goes on."""
        self.wasted_ms += sum(event.ms for event in self.events)
        self.events, self.error = [], None

    @property
    def transcript(self) -> str:
        """What was understood; empty while that is not known."""
        return next((e.made.text for e in self.events if isinstance(e.made, Transcript)), "")


def whole_sentence(text: str) -> bool:
    """Return whether ``text`` ends as sentences do.

    >>> whole_sentence("What is the capital of France?"), whole_sentence("One, two,")
    (True, False)
    """
    return text.rstrip()[-1:] in _ENDINGS


class Assistant:
    """One conversation; call ``work`` until a frame arrives, then ``hear`` with the frame.

    Close it when nobody listens any more: an answer that nobody draws keeps its threads waiting.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments, each a thing of its own
        self,
        stages: Hearing,
        manner: Manner,
        clock: Clock,
        *,
        where: str = "",
        remembers: bool = False,
        seen: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Listen; an assistant that ``remembers`` answers with what was said before in mind.

        ``seen`` is told of every piece of work: see ``Watch``.
        """
        self.exchanges: list[Exchange] = []
        self.where = where  # named in errors
        self._stages, self._manner, self._clock, self._seen = stages, manner, clock, seen
        self._dialogue = stages.llm.talk() if remembers else None
        self._ears = Ears(stages.vad, clock, manner.patience_ms, seen)
        self._endpoint, self._loudness = Endpoint(), Loudness()
        self._recent: deque[Samples] = deque(maxlen=_PRE_ROLL_FRAMES)
        self._utterance: list[Samples] = []
        self._listening = Exchange()
        self._answering: Exchange | None = None
        self._watch = Watch(clock, where)  # over that work
        self._work: Work | None = None  # on the answer of the exchange that it is done for
        self._work_for: Exchange | None = None

    def close(self) -> None:
        """End what works for this conversation."""
        self._stop()
        self._ears.close()

    @property
    def speaking(self) -> bool:
        """Whether an end of speech is decided, and its answer not yet made or not yet heard."""
        one = self._answering
        if one is None:
            return False
        working = self._work is not None and self._work_for is one
        return working or self._clock.now_ms() < one.heard_until_ms

    @property
    def answered(self) -> bool:
        """Whether the last answer has been made; it may not have been heard to its end.

        Also where nothing was ever to be answered, since the VAD failed before.
        """
        return self._answering is None or self._work_for is not self._answering

    @property
    def heard_anything(self) -> bool:
        """Whether the last answer can be heard by now, or there will be nothing to hear."""
        one = self._answering
        return self.answered or (one is not None and one.heard_until_ms > 0)

    @property
    def spoke(self) -> bool:
        """Whether speech began that is not yet answered."""
        return self._endpoint.began is not None

    def hear(self, frame: Samples) -> None:
        """Take a frame, (``FRAME_SAMPLES``,) at 16 kHz, that has arrived.

        An error of the VAD ends the exchange it happened in, not the answer to the one before; the
        next frame begins anew.
        """
        try:
            event = self._ears.hear(frame, self.where)
        except VtoolError as error:
            self._throw_away()
            self._listening.error = error
            self.exchanges.append(self._listening)
            self._listening = Exchange()
            self._listen_again()
            return
        self._listening.frames.append(event)
        probability = float(event.made)  # type: ignore[arg-type]  # the VAD gives numbers
        self._endpoint = self._endpoint.after(probability)
        if self._endpoint.began is None:
            self._recent.append(frame)
            return
        if not self._utterance:
            self._utterance.extend(self._recent)
            self._recent.clear()
        self._utterance.append(frame)
        if self._manner.quiet_db:
            quiet_db, spoken = self._manner.quiet_db, self._endpoint.spoken
            self._loudness = self._loudness.after(frame, quiet_db, spoken)
        if self.speaking and self._endpoint.spoken == self._manner.barge_in_frames:
            self._barge_in()
        if self._endpoint.spoken >= self._manner.least_frames:
            self._follow()
        elif self._endpoint.silent >= self._manner.silence_frames:
            self._listen_again()  # a click

    def _follow(self) -> None:
        """Prepare, throw away, or decide, as the silence in what is said demands."""
        silent, manner = self._endpoint.silent, self._manner
        pause = max(silent, self._loudness.pause)
        if not pause and not self.speaking:
            self._throw_away()
        elif pause >= manner.answer_frames and not self.speaking and not self._prepared:
            self._prepare()
        if silent >= self._needed() or len(self._utterance) >= manner.most_frames:
            self._decide()

    @property
    def _prepared(self) -> bool:
        """Whether an answer to what was said until now is begun, made, or has failed."""
        one = self._listening
        return self._work_for is one or bool(one.events) or one.error is not None

    def _needed(self) -> int:
        """Return the frames of silence that end what was said."""
        if whole_sentence(self._listening.transcript):
            return min(self._manner.sure_frames, self._manner.silence_frames)
        return self._manner.silence_frames

    def _prepare(self) -> None:
        self._throw_away()
        one, manner = self._listening, self._manner
        utterance = np.concatenate(self._utterance)
        if not self._endpoint.silent:  # the level was sooner: the recognizer wants to hear an end
            heard = np.pad(utterance, (0, _TAIL_FRAMES * FRAME_SAMPLES))
        else:
            heard = utterance
        asked = Asked(self._stages, heard, self._reply, manner.whole, manner.first_chars)
        kind = SideBySide if manner.threads else InTurn
        self._watch = Watch(self._clock, self.where, self._seen)
        self._work = kind(asked, self._watch, manner.patience_ms)
        self._work_for = one
        one.utterance_ms = 1000 * len(utterance) / LISTENING_HZ
        one.prepared += 1

    def _reply(self, question: str) -> Iterator[Token]:
        if self._dialogue is None:
            return self._stages.llm.stream([question])
        return self._dialogue.reply(question)

    def _throw_away(self) -> None:
        if self._work_for is self._listening:
            self._listening.wasted_ms += self._watch.unfinished_ms()
            self._stop()
        self._listening.forgets()

    def _stop(self) -> float:
        stopping_ms = self._work.stop() if self._work is not None else 0.0
        self._work = self._work_for = None
        return stopping_ms

    def _decide(self) -> None:
        if self.speaking:  # a word into the answer, too short to interrupt it
            self._listen_again()
            return
        one, at_ms = self._listening, self._clock.now_ms()  # before threads begin to work on it
        if not self._prepared:
            self._prepare()
        one.decided(at_ms)
        self._answering = one
        self.exchanges.append(one)
        self._listening = Exchange()
        self._listen_again()
        if self._work is None:
            self._remember(one)

    def _remember(self, one: Exchange) -> None:
        """Keep an exchange that was decided and will not go on."""
        if self._dialogue is None or one.error is not None:
            return
        try:
            with naming("llm", self.where):
                self._dialogue.keep()
        except VtoolError as error:
            one.error = about("llm", self.where, error)

    def _listen_again(self) -> None:
        self._endpoint, self._loudness = Endpoint(), Loudness()
        self._utterance = []

    def _barge_in(self) -> None:
        one = self._answering
        assert one is not None  # noqa: S101 - speaking
        one.barged_in_ms = self._clock.now_ms()
        one.heard_until_ms = min(one.heard_until_ms, one.barged_in_ms)
        if self._work is not None:
            one.stopping_ms = self._stop()
            self._remember(one)

    def work(self, until_ms: float) -> None:
        """Let the answer go on until ``until_ms``, or until nobody has anything to do."""
        one = self._work_for
        while self._work is not None and one is not None:
            try:
                take = self._work.settle if self._full(one) else self._work.take
                events = take(until_ms)
            except VtoolError as error:
                one.error = error
                self._stop()
                return
            for event in events:
                one.takes(event)
            if self._work.over:
                self._work = self._work_for = None
                if one.decided_ms is not None:
                    self._remember(one)
            elif not events:
                return

    def _full(self, one: Exchange) -> bool:
        return one.heard_until_ms - self._clock.now_ms() > self._manner.lead_ms
