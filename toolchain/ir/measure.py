"""Measures, budgets and verdicts: the one comparison behind every gate and alert."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from toolchain.errors import ConfigError
from toolchain.ir.machine import Machine
from toolchain.ir.order_statistics import Interval, confidence, interval
from toolchain.tables import table

Unit = Literal["byte", "ms", "s", "ratio", "count", "dB", "nats", "percent", "tokens/s"]

_CLOCKED: frozenset[Unit] = frozenset({"ms", "s"})


@dataclass(frozen=True, slots=True)
class Measure:
    """Raw samples of one quantity; statistics are computed where they are shown.

    ``clocked`` says whether the samples are wall times, or made of them: then they are draws from
    something that other programs disturb, and a percentile of them is known only within bounds.
    None is what the unit says: ``ms`` and ``s`` are wall times, everything else is exact. A rate of
    tokens a second is clocked although its unit is no time; an error of 30 ms in when speech ended
    is not, although its unit is ``ms``. It is never read off the samples: three equal ones would
    open a gate by luck.

    ``looks`` is how often, at most, whoever took the samples meant to judge them and to take more
    where the verdict was inconclusive: each look has its share of the risk.
    """

    name: str
    unit: Unit
    samples: tuple[float, ...]
    machine: Machine | None = None
    clocked: bool | None = None
    looks: int = 1

    def __post_init__(self) -> None:
        confidence(self.looks)

    @property
    def noisy(self) -> bool:
        """Whether a percentile is known only within bounds."""
        return self.unit in _CLOCKED if self.clocked is None else self.clocked

    def percentile(self, percent: float) -> float:
        """Return the smallest sample that at least ``percent`` of all samples do not exceed.

        The nearest-rank definition: always a value that was really observed.

        >>> Measure("t", "ms", (4.0, 1.0, 3.0, 2.0)).percentile(50)
        2.0
        """
        ranked = sorted(self.samples)
        share = round(len(ranked) * percent / 100, 9)  # 100 - 95.1 is 4.900000000000006
        return ranked[max(1, math.ceil(share)) - 1]

    def interval(self, percent: float) -> Interval | None:
        """Return between which values the percentile of all that could be measured lies.

        None where nothing is uncertain: exact quantities, and the least and the greatest seen (0
        and 100), which are facts about the samples.
        """
        if not self.noisy or not 0 < percent < 100:  # noqa: PLR2004 - percent
            return None
        return interval(self.samples, percent, confidence(self.looks))

    def comparable(self, other: Measure, *, across_machines: bool = False) -> None:
        """Refuse a comparison of unlike things.

        ``across_machines`` is for who was asked for it, and marks it in the output.

        Errors:
            ConfigError: another unit or another machine.
        """
        if self.unit != other.unit:
            raise ConfigError(
                f"{self.name} is in {self.unit}, {other.name} in {other.unit}",
                hint="measure both in the same unit",
            )
        if across_machines or not self.differences(other):
            return
        raise ConfigError(
            f"{self.name} was measured on two machines: {'; '.join(self.differences(other))}",
            hint="measure both on the same machine, or ask for it with --across-machines",
        )

    def differences(self, other: Measure) -> tuple[str, ...]:
        """Return in what the machines of the two differ; () if they may be compared."""
        if self.machine is None or other.machine is None:
            both = self.machine is other.machine
            return () if both else ("that of one is not known",)
        return self.machine.differences(other.machine)


USUAL_SCENARIO = "single-turn"
"""What ``vtool optimize`` and ``vtool run`` play if they are not told otherwise."""


class State(StrEnum):
    """What a verdict says."""

    MET = "met"
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not measured"


@table
class Budget:
    """A limit with its reason. ``at_least`` turns the limit round (compression, agreement)."""

    measure: str
    unit: Unit
    limit: float
    why: str
    percentile: float = 50
    at_least: bool = False
    scenario: str = USUAL_SCENARIO  # that measures it; others are not judged by it

    def __post_init__(self) -> None:
        if not 0 <= self.percentile <= 100:  # noqa: PLR2004 - percent
            raise ValueError("percentile is a number from 0 to 100")

    def judge(self, measure: Measure | None) -> Verdict:
        """Return the verdict; a budget nobody measured is not met, and says so.

        A percentile of wall times (see ``Measure.clocked``) is met where its upper confidence bound
        is within the limit, broken where its lower bound is not, and otherwise inconclusive: also
        where the samples are too few for a bound, unless they already prove it broken. The worst
        seen (percentile 100) and exact quantities are compared as they are.

        >>> Budget("core", "byte", 4e6, "first load").judge(None).ok
        False
        """
        if measure is None or not measure.samples:
            return Verdict(self, None, State.NOT_MEASURED)
        if measure.unit != self.unit:
            raise ConfigError(
                f"budget {self.measure} is in {self.unit}, but it is measured in {measure.unit}",
                hint="write the budget in the unit of the measure",
            )
        # a lower limit is judged at the mirrored percentile: p95 must hold for the worst 5 %
        percent = 100 - self.percentile if self.at_least else self.percentile
        observed, bounds = measure.percentile(percent), measure.interval(percent)
        if bounds is None:
            state = State.MET if self._holds(observed) else State.BROKEN
            return Verdict(self, observed, state)
        return Verdict(self, observed, self._within(bounds), bounds)

    def _holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def _within(self, bounds: Interval) -> State:
        """Return what is certain: the worse bound holds, or not even the better one does."""
        better, worse = (bounds.high, bounds.low) if self.at_least else (bounds.low, bounds.high)
        if worse is not None and self._holds(worse):
            return State.MET
        if better is not None and not self._holds(better):
            return State.BROKEN
        return State.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Verdict:
    """A budget and what was observed."""

    budget: Budget
    observed: float | None
    state: State
    interval: Interval | None = None  # where ``observed`` is known only within bounds

    @property
    def doubt(self) -> str:
        """Why it is inconclusive, in words; empty where it is not."""
        if self.state is not State.INCONCLUSIVE or self.interval is None:
            return ""
        found = self.interval
        sure = f"{100 * found.confidence:.3g} % confidence"
        if found.samples < found.needed:
            return f"{found.samples} samples; bounds at {sure} need {found.needed}"
        return f"the limit lies between the bounds ({sure}); more samples bring them closer"

    @property
    def ok(self) -> bool:
        """Whether a gate may open."""
        return self.state is State.MET
