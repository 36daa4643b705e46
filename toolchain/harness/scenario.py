"""What is played to an application, how often, and what counts: a file in ``rules/scenarios``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Literal, Self, TypeVar

from toolchain import resources, tables
from toolchain.errors import ConfigError
from toolchain.ir.order_statistics import MOST_LOOKS
from toolchain.tables import table
from toolchain.voice.assistant import Manner
from toolchain.voice.stage import FRAME_MS
from toolchain.voice.text import FIRST_CHARS, LEAST_CHARS

IN_TURN, SIDE_BY_SIDE, APART = 0, 1, 2
"""Placements of the stages: in one thread, in a thread each, in a process each."""


@table
class Listening:
    """How the application takes turns: the numbers that all scenarios have.

    The file of a scenario gives a reason for each number.
    """

    silence_ms: int  # silence that ends speech
    sure_silence_ms: int  # silence that ends what was understood as a whole sentence
    answer_after_ms: int  # silence after which the answer is prepared on suspicion
    timeout_s: int  # of one process
    placement: int = 1  # 0: all stages in one thread, 1: a thread a stage, 2: a process a stage
    whole_answers: int = 0  # 1: an answer is spoken as a whole, not clause by clause
    real_time: int = 0  # 1: the clock sleeps where nobody works, instead of being set forward
    first_chars: int = FIRST_CHARS  # the first clause ends at a space before so many
    quiet_db: int = 30  # so far below the utterance is a pause to prepare in; 0: the VAD's

    @property
    def manner(self) -> Manner:
        """How the application takes turns."""
        return Manner(
            silence_frames=_frames(self.silence_ms),
            answer_frames=_frames(self.answer_after_ms),
            sure_frames=_frames(self.sure_silence_ms),
            threads=self.placement != IN_TURN,
            whole=bool(self.whole_answers),
            quiet_db=self.quiet_db,
            first_chars=self.first_chars,
        )


@table
class Scenario(Listening):
    """Turns that have nothing to do with each other: ``plays = "turns"``."""

    repeats: int = field(kw_only=True)  # turns a clip that are counted
    warm_up: int = field(kw_only=True)  # rounds over all clips before, not counted
    cold_starts: int = field(kw_only=True)  # fresh processes, model files out of the page cache
    warm_starts: int = field(kw_only=True)  # fresh processes after that; the last plays the turns
    looks: int = 1  # at the figures; between them more is played where a verdict is inconclusive
    baseline_repeats: int = 5  # of the application that another one is compared with
    baseline_starts: int = 3

    def repeated(self, repeats: int | None) -> Self:
        """Return the scenario as somebody asks for it: so often, starts in proportion, no more."""
        if repeats is None:
            return self
        starts = max(1, round(self.warm_starts * repeats / self.repeats))
        return replace(self, repeats=repeats, warm_starts=starts, looks=1)

    @property
    def baseline(self) -> Self:
        """How the other application is played: its figures are shown, not judged."""
        return replace(
            self,
            repeats=min(self.repeats, self.baseline_repeats),
            warm_starts=min(self.warm_starts, self.baseline_starts),
            looks=1,
        )


@table
class Conversation(Listening):
    """One session whose turns know what was said before: ``plays = "conversation"``."""

    turns: int = field(kw_only=True)  # questions, the clips over and over
    pause_ms: int = field(kw_only=True)  # from the end of an answer to the next question
    interrupt_every: int = field(kw_only=True)  # answers; 0: none is interrupted
    interrupt_after_ms: int = field(kw_only=True)  # of such an answer have been heard


@table
class Sessions(Listening):
    """Users at the same time: ``plays = "sessions"``."""

    most_sessions: int = field(kw_only=True)  # more are not tried
    turns: int = field(kw_only=True)  # questions of each user
    every_ms: int = field(kw_only=True)  # from one question of a user to the next, on average
    seed: int = field(kw_only=True)  # of the schedule
    limit_ms: int = field(kw_only=True)  # end of speech to first audio, p95: what must hold


KINDS: Mapping[str, type[Listening]] = {
    "turns": Scenario,
    "conversation": Conversation,
    "sessions": Sessions,
}


def _frames(ms: int) -> int:
    """Return how many VAD frames make ``ms`` milliseconds."""
    return round(ms / FRAME_MS)


@table
class Number:
    """One number of a scenario and its reason."""

    name: str
    value: int
    why: str


@table
class ScenarioFile:
    """A file in ``rules/scenarios``: what is measured, what is issued, what is not counted."""

    what: str
    issued: str
    not_counted: str
    number: tuple[Number, ...]
    plays: Literal["turns", "conversation", "sessions"] = "turns"


def load(name: str, project: Path | None = None) -> Listening:
    """Return the scenario ``name``; the project's own ``rules/scenarios`` comes first.

    Errors:
        ConfigError: no such scenario; a number is missing, unknown, or makes no sense.
    """
    folders = [root / "rules" for root in [project] if root] + [resources.folder("rules")]
    for folder in folders if resources.is_name(name) else ():
        path = folder / "scenarios" / f"{name}.toml"
        if path.is_file():
            file = tables.load(path, ScenarioFile)
            numbers = {n.name: n.value for n in file.number}
            if len(numbers) < len(file.number):
                twice = next(n for n in numbers if [m.name for m in file.number].count(n) > 1)
                raise ConfigError(f"{path}: {twice} is given twice", hint="keep one of the two")
            return checked(tables.check(numbers, KINDS[file.plays], where=str(path)))
    known = sorted({p.stem for f in folders for p in (f / "scenarios").glob("*.toml")})
    raise ConfigError(f"there is no scenario {name!r}", hint=f"scenarios: {', '.join(known)}")


_FROM_ZERO = (
    "warm_up",
    "cold_starts",
    "placement",
    "whole_answers",
    "real_time",
    "quiet_db",
    "interrupt_every",
    "seed",
)

_MOST = 1_000_000  # of any number in a scenario. Ours: turns and seconds of eleven days

Checked = TypeVar("Checked", bound=Listening)


def checked(asked: Checked) -> Checked:
    """Return ``asked`` if it can be played.

    Errors:
        ConfigError: a number below its least value, or silences in the wrong order.
    """
    for one in fields(asked):
        value, least = getattr(asked, one.name), int(one.name not in _FROM_ZERO)
        if value > _MOST:
            raise ConfigError(f"scenario: {one.name} is {value}", hint=f"at most {_MOST:,}")
        if value < least:
            raise ConfigError(
                f"scenario: {one.name} is {value}", hint=f"at least {least} is needed"
            )
    if isinstance(asked, Scenario) and asked.looks > MOST_LOOKS:
        raise ConfigError(
            f"scenario: looks is {asked.looks}", hint=f"at most {MOST_LOOKS} are planned"
        )
    if asked.placement > APART:
        raise ConfigError(
            f"scenario: placement is {asked.placement}",
            hint="0: one thread, 1: a thread a stage, 2: a process a stage",
        )
    if asked.first_chars <= LEAST_CHARS:
        raise ConfigError(
            f"scenario: first_chars is {asked.first_chars}",
            hint=f"a clause has at least {LEAST_CHARS} characters, and needs room to end",
        )
    manner = asked.manner
    if not 0 < manner.answer_frames <= manner.sure_frames <= manner.silence_frames:
        raise ConfigError(
            f"scenario: an answer after {asked.answer_after_ms} ms of silence, speech that ends "
            f"after {asked.sure_silence_ms} or {asked.silence_ms} ms",
            hint=f"all at least {FRAME_MS:.0f} ms (a VAD frame), none above the next",
        )
    return asked
