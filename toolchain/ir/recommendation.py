"""What to change and how much it was measured to help: no evidence, no recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from toolchain.ir.measure import Unit
from toolchain.ir.order_statistics import interval

LEAST_SHARE = 0.01
"""Ours: a gain whose certain part is below 1 % of what there was is not worth an edit."""

_MEDIAN = 50


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change did to one measure, less being better: samples in pairs, without and with it.

    ``low`` and ``high`` bound the median of the differences (with minus without); each holds with
    the confidence asked for. Exact quantities, bytes of files, are one pair and their own bounds.
    """

    measure: str
    unit: Unit
    before: tuple[float, ...]
    after: tuple[float, ...]
    low: float | None  # None: too few pairs to say
    high: float | None

    def __post_init__(self) -> None:
        if not self.before or len(self.before) != len(self.after):
            raise ValueError(f"{self.measure}: samples come in pairs, at least one")

    @classmethod
    def measured(
        cls,
        measure: str,
        unit: Unit,
        pairs: Sequence[tuple[float, float]],
        sure: float,
    ) -> Self:
        """Return the effect in ``pairs`` (without, with); bounds are order statistics.

        >>> e = Effect.measured("t", "ms", [(10.0 + n, 8.0 + n) for n in range(8)], 0.95)
        >>> e.low, e.high, e.improves
        (-2.0, -2.0, True)
        """
        bounds = interval([b - a for a, b in pairs], _MEDIAN, sure)
        before, after = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        return cls(measure, unit, before, after, bounds.low, bounds.high)

    @classmethod
    def exact(cls, measure: str, unit: Unit, before: float, after: float) -> Self:
        """Return the effect on something that is counted, not sampled."""
        change = after - before
        return cls(measure, unit, (before,), (after,), change, change)

    @property
    def from_value(self) -> float:
        """The median without the change."""
        return _median(self.before)

    @property
    def change(self) -> float:
        """The median of the differences; below zero is better."""
        return _median([b - a for a, b in zip(self.before, self.after, strict=True)])

    @property
    def improves(self) -> bool:
        """Whether even the worse bound is a gain worth an edit."""
        least = LEAST_SHARE * abs(self.from_value)
        return self.high is not None and self.high < 0 and -self.high >= least

    @property
    def worsens(self) -> bool:
        """Whether even the better bound is a loss."""
        return self.low is not None and self.low > 0


@dataclass(frozen=True, slots=True)
class Tried:
    """A change that was tried, whatever came of it; ``why_not`` says why nothing follows."""

    what: str
    how: str  # the command or the edit that applies it
    effects: tuple[Effect, ...]
    why_not: str = ""

    @property
    def gains(self) -> tuple[Effect, ...]:
        """What it improved for certain."""
        return tuple(e for e in self.effects if e.improves)

    @property
    def costs(self) -> tuple[Effect, ...]:
        """What it made worse for certain."""
        return tuple(e for e in self.effects if e.worsens)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A change worth making.

    Errors:
        ValueError: the evidence does not show that it helps: such a thing cannot exist.
    """

    what: str
    how: str
    gains: tuple[Effect, ...]
    costs: tuple[Effect, ...] = ()  # what else it does, for the worse; told, not hidden

    def __post_init__(self) -> None:
        if not self.gains or not all(gain.improves for gain in self.gains):
            raise ValueError(f"{self.what}: nothing was measured to become better")
        if not all(cost.worsens for cost in self.costs):
            raise ValueError(f"{self.what}: a cost that was not measured")


def _median(values: Sequence[float]) -> float:
    ranked = sorted(values)
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2
