"""Shares error out: which step for each unit, so that all together take the fewest bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

_PER_OCTAVE = 8  # multipliers that are tried between a number and its double
_LOWEST, _HIGHEST = -12, 3
"""Octaves of a multiplier: from answers off by 0.02 % to all codes zero."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Rate of one unit against its multiplier, looked up at octaves and interpolated."""

    bits: Callable[[float], float]
    _known: dict[int, float] = field(default_factory=dict)

    def at(self, exponent: float) -> float:
        """Return the bits at ``2 ** exponent``."""
        low = int(np.floor(exponent))
        share = exponent - low
        return (1 - share) * self._octave(low) + share * self._octave(low + 1)

    def _octave(self, octave: int) -> float:
        if octave not in self._known:
            self._known[octave] = self.bits(2.0**octave)
        return self._known[octave]


def allocated(
    curves: Mapping[str, Curve], sensitivities: Mapping[str, float], price: float
) -> dict[str, float]:
    """Return each unit's multiplier: least ``bits + price * sensitivity * multiplier ** 2``.

    ``price`` is in bits for a unit of squared error: the Lagrangian's multiplier.
    """
    exponents = np.arange(_LOWEST * _PER_OCTAVE, _HIGHEST * _PER_OCTAVE + 1) / _PER_OCTAVE
    found = {}
    for name, curve in curves.items():
        costs = [curve.at(e) + price * sensitivities[name] * 4.0**e for e in exponents]
        found[name] = float(2.0 ** exponents[int(np.argmin(costs))])
    return found


def narrowed(
    holding: Callable[[Sequence[float]], Sequence[bool]], start: float, stride: float, rounds: int
) -> float | None:
    """Return the largest exponent found that holds, below all that do not; None if none does.

    Two are asked in each round, so that two cores have something to do: first ``stride``, then
    twice as far apart until one holds and one does not, then thirds of what lies between.
    """
    held: dict[float, bool] = {}
    pair = [start, start + stride]
    for _ in range(rounds):
        held.update(zip(pair, holding(pair), strict=True))
        good, bad = _border(held)
        if good is not None and bad is not None:
            pair = [good + (bad - good) / 3, good + (bad - good) * 2 / 3]
            continue
        stride *= 2
        if good is not None:
            pair = [good + stride / 2, good + stride]
        elif bad is not None:
            pair = [bad - stride, bad - stride / 2]
    return _border(held)[0]


def _border(held: Mapping[float, bool]) -> tuple[float | None, float | None]:
    """Return the largest that holds below all that do not, and the smallest that does not."""
    bad = min((at for at, good in held.items() if not good), default=None)
    good = max(
        (at for at, good in held.items() if good and (bad is None or at < bad)), default=None
    )
    return good, bad


def shared_out(names: Sequence[str], sizes: Mapping[str, int], most: int) -> list[tuple[str, ...]]:
    """Share ``names`` out over at most ``most`` units: the largest alone, neighbours together.

    Neighbours, as they lie in the model, mostly belong to one layer.
    """
    if len(names) <= most:
        return [(name,) for name in names]
    order = sorted(names, key=lambda n: (-sizes[n], names.index(n)))
    alone = set(order[: most // 2])
    rest = [name for name in names if name not in alone]
    count = max(1, most - len(alone))
    total = sum(sizes[name] for name in rest)
    groups: list[list[str]] = [[] for _ in range(count)]
    before = 0
    for name in rest:
        groups[min(count - 1, before * count // total)].append(name)
        before += sizes[name]
    return [(name,) for name in names if name in alone] + [tuple(g) for g in groups if g]
