"""What is played to an application, how often, and what counts: a file in ``rules/scenarios``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from toolchain import resources, tables
from toolchain.errors import ConfigError
from toolchain.tables import table
from toolchain.voice.assistant import Manner
from toolchain.voice.stage import FRAME_MS


@table
class Scenario:
    """The numbers of a scenario; the file gives a reason for each."""

    repeats: int  # turns a clip that are counted
    warm_up: int  # rounds over all clips before, not counted
    silence_ms: int  # silence that ends speech
    sure_silence_ms: int  # silence that ends what was understood as a whole sentence
    answer_after_ms: int  # silence after which the answer is prepared on suspicion
    cold_starts: int  # fresh processes with the models' files out of the page cache
    warm_starts: int  # fresh processes after that; the last one plays the turns
    timeout_s: int  # of one process
    threads: int = 1  # 1: a thread a stage; 0: all stages in one thread
    real_time: int = 0  # 1: the clock sleeps where nobody works, instead of being set forward

    @property
    def manner(self) -> Manner:
        """How the application takes turns."""
        return Manner(
            silence_frames=_frames(self.silence_ms),
            answer_frames=_frames(self.answer_after_ms),
            sure_frames=_frames(self.sure_silence_ms),
            threads=bool(self.threads),
        )


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


def load(name: str, project: Path | None = None) -> Scenario:
    """Return the scenario ``name``; the project's own ``rules/scenarios`` comes first.

    Errors:
        ConfigError: no such scenario; a number is missing, unknown, or makes no sense.
    """
    folders = [root / "rules" for root in [project] if root] + [resources.folder("rules")]
    for folder in folders:
        path = folder / "scenarios" / f"{name}.toml"
        if path.is_file():
            numbers = {n.name: n.value for n in tables.load(path, ScenarioFile).number}
            return checked(tables.check(numbers, Scenario, where=str(path)))
    known = sorted({p.stem for f in folders for p in (f / "scenarios").glob("*.toml")})
    raise ConfigError(f"there is no scenario {name!r}", hint=f"scenarios: {', '.join(known)}")


def checked(asked: Scenario) -> Scenario:
    """Return ``asked`` if it can be played.

    Errors:
        ConfigError: a number below its least value, or silences in the wrong order.
    """
    least = {"warm_up": 0, "cold_starts": 0, "threads": 0, "real_time": 0}
    for field in fields(asked):
        value = getattr(asked, field.name)
        if value < least.get(field.name, 1):
            raise ConfigError(
                f"scenario: {field.name} is {value}",
                hint=f"at least {least.get(field.name, 1)} is needed",
            )
    manner = asked.manner
    if not 0 < manner.answer_frames <= manner.sure_frames <= manner.silence_frames:
        raise ConfigError(
            f"scenario: an answer after {asked.answer_after_ms} ms of silence, speech that ends "
            f"after {asked.sure_silence_ms} or {asked.silence_ms} ms",
            hint=f"all at least {FRAME_MS:.0f} ms (a VAD frame), none above the next",
        )
    return asked
