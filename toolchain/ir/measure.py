"""Measures, budgets and verdicts: the one comparison behind every gate and alert."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from toolchain.errors import ConfigError
from toolchain.tables import table

Unit = Literal["byte", "ms", "s", "ratio", "count", "dB", "percent"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where something was measured; no host name, no path."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """Raw samples of one quantity; statistics are computed where they are shown."""

    name: str
    unit: Unit
    samples: tuple[float, ...]
    machine: Machine | None = None

    def percentile(self, percent: float) -> float:
        """Return the smallest sample that at least ``percent`` of all samples do not exceed.

        The nearest-rank definition: always a value that was really observed.

        >>> Measure("t", "ms", (4.0, 1.0, 3.0, 2.0)).percentile(50)
        2.0
        """
        ranked = sorted(self.samples)
        rank = max(1, -(-len(ranked) * percent // 100))
        return ranked[int(rank) - 1]

    def comparable(self, other: Measure) -> None:
        """Refuse a comparison of unlike things.

        Errors:
            ConfigError: another unit or another machine.
        """
        if self.unit != other.unit:
            raise ConfigError(f"{self.name} is in {self.unit}, {other.name} in {other.unit}")
        if self.machine != other.machine:
            raise ConfigError(
                f"{self.name} was measured on another machine",
                hint="run both on the same machine",
            )


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

    def __post_init__(self) -> None:
        if not 0 <= self.percentile <= 100:  # noqa: PLR2004 - percent
            raise ValueError("percentile is a number from 0 to 100")

    def judge(self, measure: Measure | None) -> Verdict:
        """Return the verdict; a budget nobody measured is not met, and says so.

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
        observed = measure.percentile(percent)
        met = observed >= self.limit if self.at_least else observed <= self.limit
        return Verdict(self, observed, State.MET if met else State.BROKEN)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A budget and what was observed."""

    budget: Budget
    observed: float | None
    state: State

    @property
    def ok(self) -> bool:
        """Whether a gate may open."""
        return self.state is State.MET
