"""From nothing known to the smallest point that holds: the steps of a search, one function each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolchain.errors import ToolError
from toolchain.quantization.allocation import Curve, allocated, narrowed
from toolchain.quantization.point import Multipliers, Trials, Tried
from toolchain.tasks.base import Limit

_START = -5.0  # octaves: answers of each weight off by 3 %; most tasks hold between -6 and -3
_LEAST = 2.0**-9  # answers off by 0.2 %
_LEVEL_ROUNDS = 4
_PRICE_ROUNDS = 3
_PRICE_STRIDE = 0.25  # octaves of step between the first two prices
_WIDEST = 4.0  # a unit alone is tried up to this much coarser than all together
_FLOOR = 1e-3  # of the median: no unit is taken to cost nothing
_SLOPES = (0.8, 2.2)
"""Of error against step, in octaves: 1 where the error is an amplitude, 2 where it is a power."""

_UNKNOWN = _WIDEST**2
"""Times the largest sensitivity that could be measured: what is taken for a unit that broke the
model, alone and up to so many times coarser than where all together held."""

_PRICES = (-40.0, 240.0)  # exponents of two; beyond any model and error
_PRICE_GRAIN = 0.125

Sensitivities = Mapping[str, float]
"""Of each unit: what ``error ** power`` grows by, over the square of its multiplier."""


@dataclass(frozen=True)
class Descent:
    """A search under way. ``goal`` is the limit on the search data."""

    trials: Trials
    goal: Limit
    until: float  # of the monotonic clock

    def run(self, rounds: int) -> Tried | None:
        """Return the smallest point that holds; None if none does.

        ``rounds``: how often sensitivities are measured again where the search has arrived.
        """
        names = list(self.trials.units)
        level = self._level(names)
        if level is None and len(names) > 1:
            names = self._tolerant(names)
            level = self._level(names) if names else None
        if level is None:
            return None
        power = 2 / _slope(self.trials.tried)
        if len(names) > 1:
            known = self._alone(names, 2.0**level, power)
            for _ in range(rounds):
                self._shared(known, power)
                known = self._around(self._best(), known, power)
            self._shared(known, power)
        return self._best()

    def _level(self, names: Sequence[str]) -> float | None:
        """Return the largest exponent at which all ``names`` together hold."""
        return self._narrowed(lambda e: dict.fromkeys(names, 2.0**e), _START, 1.0, _LEVEL_ROUNDS)

    def _tolerant(self, names: Sequence[str]) -> list[str]:
        """Return the units that may be changed at all.

        Where a model rounds inside (integers made from activations), the least change of a weight
        before it can be too much.
        """
        tried = self._all([{n: _LEAST} for n in names])
        return [n for n, t in zip(names, tried, strict=True) if not self.goal.problem(t.score)]

    def _alone(self, names: Sequence[str], level: float, power: float) -> Sensitivities:
        """Measure each unit with all others as they are in the original."""
        at = level * min(_WIDEST, len(names) ** 0.5)
        tried = self._all([{n: at} for n in names])
        found = {n: t.score.error**power / at**2 for n, t in zip(names, tried, strict=True)}
        return _measurable(found)

    def _around(self, best: Tried, known: Sensitivities, power: float) -> Sensitivities:
        """Measure each unit twice as coarse with all others as they are in ``best``.

        One measurement is noisy: it counts two thirds, what was known one third (of logarithms).
        """
        at = {n: best.multipliers[n] for n in known}
        coarser = {n: 2 * at[n] or _LEAST for n in known}
        tried = self._all([{**at, n: coarser[n]} for n in known])
        found = {}
        for name, one in zip(known, tried, strict=True):
            grown = one.score.error**power - best.score.error**power
            fresh = max(grown / (coarser[name] ** 2 - at[name] ** 2), known[name] / 20)
            found[name] = float(np.cbrt(known[name] * fresh**2))
        return _measurable(found)

    def _shared(self, known: Sensitivities, power: float) -> None:
        """Try points at which every unit pays the same price for error."""
        floor = _FLOOR * float(np.median(list(known.values()))) + np.finfo(np.float64).tiny
        costs = {n: max(cost, floor) for n, cost in known.items()}
        curves = {n: Curve(_bits(self.trials, n)) for n in costs}
        best = self._best()
        start = _price(curves, costs, best.score.error**power)
        self._narrowed(
            lambda e: allocated(curves, costs, 2.0 ** (start - 2 * e)),
            0.0,
            _PRICE_STRIDE,
            _PRICE_ROUNDS,
        )

    def _best(self) -> Tried:
        full = (t for t in self.trials.tried if t.multipliers.keys() == self.trials.units.keys())
        return min((t for t in full if not self.goal.problem(t.score)), key=lambda t: t.point.bytes)

    def _narrowed(
        self, point: Callable[[float], Multipliers], start: float, stride: float, rounds: int
    ) -> float | None:
        def holding(exponents: Sequence[float]) -> list[bool]:
            tried = self._all([point(e) for e in exponents])
            return [not self.goal.problem(t.score) for t in tried]

        return narrowed(holding, start, stride, rounds)

    def _all(self, points: Sequence[Multipliers]) -> list[Tried]:
        if time.monotonic() > self.until:
            raise ToolError(
                "the search took longer than it may and was stopped; nothing of it is kept",
                hint="raise stop_seconds, or lower seconds to ask fewer questions",
            )
        still = dict.fromkeys(self.trials.units, 0.0)
        return self.trials.try_all([{**still, **point} for point in points])


def _slope(tried: Sequence[Tried]) -> float:
    """Return p of error ~ multiplier ** p, from points with one multiplier for all."""
    pairs = [(max(t.multipliers.values()), t.score.error) for t in tried]
    usable = {m: e for m, e in pairs if 0 < e < np.inf}
    if len(usable) <= 1:
        return 1.0
    slope = np.polyfit(np.log2(list(usable)), np.log2(list(usable.values())), 1)[0]
    return float(np.clip(slope, *_SLOPES))


def _measurable(found: Sensitivities) -> Sensitivities:
    """Return ``found`` with a number for units whose error alone is none: infinite, or NaN.

    One infinite cost would leave no error for all others, whatever the price.
    """
    finite = [cost for cost in found.values() if np.isfinite(cost)]
    most = _UNKNOWN * max(finite, default=1.0)
    return {name: cost if np.isfinite(cost) else most for name, cost in found.items()}


def _bits(trials: Trials, unit: str) -> Callable[[float], float]:
    return lambda multiplier: trials.estimated_bits(unit, multiplier)


def _price(curves: Mapping[str, Curve], costs: Sensitivities, target: float) -> float:
    """Return the exponent of the price at which all errors should add up to ``target``."""
    low, high = _PRICES
    while high - low > _PRICE_GRAIN:
        middle = (low + high) / 2
        shares = allocated(curves, costs, 2.0**middle)
        total = sum(costs[n] * m**2 for n, m in shares.items())
        low, high = (middle, high) if total > target else (low, middle)
    return high
