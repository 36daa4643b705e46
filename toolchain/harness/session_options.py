"""How a model is opened, what that takes, and which way is worth taking: data in ``rules``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from statistics import median
from typing import Literal

from toolchain import resources, tables
from toolchain.errors import ConfigError
from toolchain.tables import table
from toolchain.voice.engine import Session
from toolchain.voice.pipeline import STAGES


class Form(StrEnum):
    """How a model is stored."""

    AS_IT_LIES = "as it lies"
    MAPPED = "mapped"  # optimized, weights in a file beside it
    ORT = "ORT format"  # optimized, onnxruntime's own format


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that is chosen of a model's session."""

    threads: int = 1
    spinning: bool = False
    arena: bool = False
    prepacking: bool = True
    form: Form = Form.AS_IT_LIES

    @property
    def session(self) -> Session:
        """What ``voice.engine`` is told; the form is another file."""
        return Session(self.threads, self.spinning, self.arena, self.prepacking)

    @property
    def words(self) -> str:
        """For people.

        >>> Options(2, arena=True, form=Form.MAPPED).words
        '2 threads, arena, mapped'
        """
        said = [f"{self.threads} thread{'' if self.threads == 1 else 's'}"]
        said += ["spinning"] * self.spinning + ["arena"] * self.arena
        said += [] if self.prepacking else ["not prepacked"]
        said += [] if self.form is Form.AS_IT_LIES else [str(self.form)]
        return ", ".join(said)

    def threaded_as(self, other: Options) -> bool:
        """Whether it computes in the same threads."""
        return (self.threads, self.spinning) == (other.threads, other.spinning)

    def against(self, usual: Options) -> str:
        """Return in words what is other than ``usual``.

        >>> Options(prepacking=False).against(Options())
        'not prepacked'
        """
        said, known = self.words.split(", "), usual.words.split(", ")
        gone = [f"no longer {word}" for word in known[1:] if word not in said]
        return ", ".join([word for word in said if word not in known] + gone)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model takes, opened in one way; ``resident`` and ``peak`` are of its whole stage."""

    run_ms: tuple[float, ...]  # wall time of its runs in a pass
    cpu_ms: tuple[float, ...]  # CPU time of its runs in a pass
    pass_cpu_ms: tuple[float, ...]  # of the whole pass
    load_ms: tuple[float, ...]  # wall time, one a process
    resident: tuple[int, ...]  # bytes, one a process
    peak: tuple[int, ...]  # bytes; empty where nobody knows

    def with_more(self, other: Figures) -> Figures:
        """Return the samples of both."""
        return Figures(
            self.run_ms + other.run_ms,
            self.cpu_ms + other.cpu_ms,
            self.pass_cpu_ms + other.pass_cpu_ms,
            self.load_ms + other.load_ms,
            self.resident + other.resident,
            self.peak + other.peak,
        )

    @property
    def held(self) -> float:
        """Bytes that the stage holds while it works."""
        return median(self.resident)

    @property
    def most(self) -> float:
        """The most bytes that the stage ever held."""
        return median(self.peak or self.resident)


@table
class Number:
    """One number and its reason."""

    name: str
    value: float
    why: str


@table
class OptionRule:
    """One option that is tried."""

    name: Literal["threads", "spinning", "arena", "prepacking", "mapped", "ort"]
    why: str


@table
class StageRule:
    """What counts first in a stage."""

    name: str
    first: Literal["time", "memory"]
    why: str


@table
class Numbers:
    """What the numbers are."""

    most_slower: float
    most_cpu: float
    most_load_ms: float
    least_faster: float
    most_others: float
    least_bytes: float
    smallest_bytes: float
    rounds: float
    least_passes: float
    most_passes: float
    pass_seconds: float
    tokens: float
    seconds: float
    patience: float


@table
class Rule:
    """``rules/session-options.toml``."""

    what: str
    option: tuple[OptionRule, ...]
    number: tuple[Number, ...]
    stage: tuple[StageRule, ...]

    @cached_property
    def numbers(self) -> Numbers:
        """The numbers, by name.

        Errors:
            ConfigError: one is missing or unknown.
        """
        given = {one.name: one.value for one in self.number}
        return tables.check(given, Numbers, where="rules/session-options.toml")

    def first(self, stage: str) -> str:
        """Return what counts first in ``stage``."""
        return next(one.first for one in self.stage if one.name == stage)

    def refusal(self, new: Figures, usual: Figures, *, wall: bool) -> str:
        """Return why ``new`` may not be taken in the place of ``usual``; "" if it may.

        ``wall`` is whether it computes in other threads: then wall times are compared, otherwise
        CPU times, which say the same and hardly feel what else the machine does.

        >>> slow = Figures((2.0,), (2.0,), (2.0,), (9.0,), (10,), (10,))
        >>> quick = Figures((1.0,), (1.0,), (1.0,), (9.0,), (10,), (10,))
        >>> rule().refusal(slow, quick, wall=True)
        'slower: 2.00 times the wall time'
        """
        numbers = self.numbers
        slower = taken(new, usual, wall=wall)
        cpu = _ratio(new.pass_cpu_ms, usual.pass_cpu_ms)
        load_ms = median(new.load_ms) - median(usual.load_ms)
        grown = max(new.held - usual.held, new.most - usual.most)
        if slower > numbers.most_slower:
            return f"slower: {slower:.2f} times the {'wall' if wall else 'CPU'} time"
        if cpu > numbers.most_cpu:
            return f"{cpu:.2f} times the CPU time"
        if load_ms > numbers.most_load_ms:
            return f"opens {load_ms:.0f} ms later"
        if grown > numbers.least_bytes:
            return f"larger: {grown / 1e6:.1f} MB more memory"
        return ""

    def gain(self, new: Figures, usual: Figures, stage: str, *, wall: bool) -> tuple[float, float]:
        """Return how much better ``new`` is, what counts first first; (0, 0) is no gain.

        Differences that repeated measurements of the same have too count as none.
        """
        faster = 1 - taken(new, usual, wall=wall)
        time = faster if faster >= 1 - self.numbers.least_faster else 0.0
        saved = (usual.held - new.held, usual.most - new.most)
        memory = sum(one for one in saved if one >= self.numbers.least_bytes)
        return (time, memory) if self.first(stage) == "time" else (memory, time)


def taken(new: Figures, usual: Figures, *, wall: bool) -> float:
    """Return the time of ``new`` as a multiple of the usual one."""
    return _ratio(new.run_ms, usual.run_ms) if wall else _ratio(new.cpu_ms, usual.cpu_ms)


def rule() -> Rule:
    """Return the rule.

    Errors:
        ConfigError: the file is wrong, or a stage has no entry.
    """
    path = resources.folder("rules") / "session-options.toml"
    found = tables.load(path, Rule)
    if missing := set(STAGES) - {one.name for one in found.stage}:
        raise ConfigError(
            f"{path}: no stage {min(missing)!r}", hint="say what counts first in each stage"
        )
    return found


def candidates(usual: Options, allowed: Sequence[OptionRule], cores: int) -> list[Options]:
    """Return ``usual`` with one option changed, each; what cannot differ here is left out."""
    more = max(usual.threads, min(2, cores))
    changed = {
        "threads": replace(usual, threads=1 if usual.threads > 1 else more),
        "spinning": replace(usual, threads=more, spinning=more > 1),
        "arena": replace(usual, arena=not usual.arena),
        "prepacking": replace(usual, prepacking=not usual.prepacking),
        "mapped": replace(usual, form=Form.MAPPED),
        "ort": replace(usual, form=Form.ORT),
    }
    found = [changed[one.name] for one in allowed]
    return [one for one in dict.fromkeys(found) if one != usual]


def together(usual: Options, gaining: Sequence[Options]) -> Options:
    """Return ``usual`` with all that the ``gaining`` change; the first decides where two differ."""
    found = usual
    for one in reversed(gaining):
        names = ("threads", "spinning", "arena", "prepacking", "form")
        changed = {n: getattr(one, n) for n in names if getattr(one, n) != getattr(usual, n)}
        found = replace(found, **changed)
    return found


def _ratio(new: Sequence[float], usual: Sequence[float]) -> float:
    return median(new) / max(median(usual), 1e-9)
