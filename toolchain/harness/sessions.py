"""Plays several users at once, each by a schedule, and finds out how many a machine carries.

Open loop
    Each user asks by a schedule that was fixed before: whether the last answer was late does not
    matter to it. Latency counts from the end of speech *as scheduled*, so a stall delays all that
    waits behind it in the figures too (no coordinated omission). How late frames were delivered,
    because the sender itself waited for the machine, is reported.

Real time
    The clock never jumps: with several users somebody has something to do at almost all times, and
    what is asked is how the machine carries the load of real seconds.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolchain.errors import VtoolError
from toolchain.formats.audio import Audio
from toolchain.harness.conversation import Line
from toolchain.harness.scenario import Sessions
from toolchain.harness.session import SILENCE, end_of_speech_ms, framed, start_of_speech_ms
from toolchain.voice.assistant import Assistant, Hearing
from toolchain.voice.clock import Clock
from toolchain.voice.stage import FRAME_MS

_LEVEL = 95  # percentile that the limit is for: as the budget of a single user


@dataclass(frozen=True, slots=True)
class Question:
    """One question of one user: when it begins, in ms on the clock, and what is said."""

    at_ms: float
    line: Line


@dataclass(frozen=True, slots=True)
class Step:
    """What so many users at once saw."""

    sessions: int
    first_audio_ms: tuple[float, ...]  # since the end of speech as scheduled, those answered
    unanswered: int  # questions without an answer before the next one began, or with an error
    late_ms: tuple[float, ...]  # of the sender, a frame
    errors: tuple[str, ...]

    @property
    def p95_ms(self) -> float:
        """The 95th percentile, nearest rank; an unanswered question is later than any."""
        ranked = [*sorted(self.first_audio_ms), *[math.inf] * self.unanswered]
        return ranked[math.ceil(len(ranked) * _LEVEL / 100) - 1]


def schedule(asked: Sessions, lines: Sequence[Line], sessions: int) -> list[list[Question]]:
    """Return what each user says and when.

    Users begin spread over ``every_ms``; their questions follow each other after 0.75 to 1.25 of
    it, drawn from the seed: the same for each number of users.
    """
    users = []
    for user in range(sessions):
        rng = random.Random(f"{asked.seed} {user}")  # noqa: S311 - a schedule, not a secret
        at_ms = rng.uniform(0, asked.every_ms)
        turns = []
        for turn in range(asked.turns):
            turns.append(Question(at_ms, lines[(user + turn) % len(lines)]))
            at_ms += asked.every_ms * rng.uniform(0.75, 1.25)
        users.append(turns)
    return users


def together(stages: Hearing, users: Sequence[Sequence[Question]], asked: Sessions) -> Step:
    """Let all ``users`` ask at once, in real time; return what they saw."""
    clock = Clock(real_time=True)
    seen: list[_User] = [_User(stages, questions, asked, clock) for questions in users]
    threads = [threading.Thread(target=user.run, daemon=True) for user in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for user in seen:
        if user.failed is not None:
            raise user.failed
    return Step(
        sessions=len(users),
        first_audio_ms=tuple(ms for user in seen for ms in user.first_audio_ms),
        unanswered=sum(user.unanswered for user in seen),
        late_ms=tuple(ms for user in seen for ms in user.late_ms),
        errors=tuple(dict.fromkeys(error for user in seen for error in user.errors)),
    )


class _User:
    """A session of its own; the models are shared."""

    def __init__(
        self, stages: Hearing, questions: Sequence[Question], asked: Sessions, clock: Clock
    ) -> None:
        self._questions, self._clock = questions, clock
        self._assistant = Assistant(stages, asked.manner, clock)
        self._last_ms = asked.every_ms / 2  # after the last question, to be answered in
        self.first_audio_ms: list[float] = []
        self.late_ms: list[float] = []
        self.unanswered = 0
        self.errors: list[str] = []
        self.failed: BaseException | None = None  # what no stage raised, but we

    def run(self) -> None:
        """Ask all questions at their times; then let nothing go on, since others may follow."""
        try:
            self._ask_all()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for this thread
            self.failed = error
        finally:
            self._assistant.close()

    def _ask_all(self) -> None:
        ends = [q.at_ms for q in self._questions[1:]]
        ends.append(self._questions[-1].at_ms + self._last_ms * 2)
        for question, end_ms in zip(self._questions, ends, strict=True):
            heard = len(self._assistant.exchanges)
            try:
                self._ask(question, end_ms)
            except VtoolError as error:
                self.errors.append(str(error))
            self._note(question, heard)

    def _ask(self, question: Question, end_ms: float) -> None:
        frames = framed(question.line.samples)
        quiet = max(0, round((end_ms - question.at_ms) / FRAME_MS) - len(frames))
        for number, frame in enumerate((*frames, *[SILENCE] * quiet)):
            at_ms = question.at_ms + (number + 1) * FRAME_MS
            self._assistant.work(at_ms)
            self._clock.arrive(at_ms)
            self.late_ms.append(max(0.0, self._clock.now_ms() - at_ms))
            self._assistant.hear(frame)

    def _note(self, question: Question, heard: int) -> None:
        began_ms = question.at_ms + start_of_speech_ms(question.line.samples)
        for one in self._assistant.exchanges[heard:]:
            if one.decided_ms is not None and one.decided_ms <= began_ms:
                continue  # the question before, whose end was decided too late to be an answer
            sounds = [e for e in one.events if isinstance(e.made, Audio)]
            if one.error is not None:
                self.errors.append(str(one.error))
            elif sounds and one.decided_ms is not None:
                until_ms = one.decided_ms - question.at_ms
                ended_ms = question.at_ms + end_of_speech_ms(question.line.samples, until_ms)
                self.first_audio_ms.append(max(sounds[0].end_ms, one.decided_ms) - ended_ms)
                return
        self.unanswered += 1


def carried(
    stages: Hearing,
    lines: Sequence[Line],
    asked: Sessions,
    say: Callable[[int], None],
) -> list[Step]:
    """Return what one, two, four ... users saw, up to the most for which the limit holds.

    The number is doubled until the limit breaks, and then halved in between: so the last step that
    holds and the first that does not are neighbours.
    """
    steps: dict[int, Step] = {}

    def holds(sessions: int) -> bool:
        say(sessions)
        steps[sessions] = together(stages, schedule(asked, lines, sessions), asked)
        return steps[sessions].p95_ms <= asked.limit_ms

    good, bad, at = 0, asked.most_sessions + 1, 1
    while good + 1 < bad:
        if holds(at):
            good = at
        else:
            bad = at
        at = min(good * 2, asked.most_sessions) if bad > asked.most_sessions else (good + bad) // 2
        at = max(at, good + 1)
    return [steps[n] for n in sorted(steps)]


def most(steps: Sequence[Step], limit_ms: float) -> int:
    """Return the most users for whom the limit held; 0: not even for one."""
    return max((s.sessions for s in steps if s.p95_ms <= limit_ms), default=0)
