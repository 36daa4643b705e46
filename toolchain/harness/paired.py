"""Judges how much more one side took than the other, from rounds in which both did the same work.

In a round each side does every piece of work once, one right after the other in random order. What
a busy machine adds, it adds to both; so the logarithm of their ratio is compared, never a time with
a time. A round is one observation: its pieces of work met the same neighbours.

The estimate is the trimmed mean of the rounds' log ratios: a fifth of them at each end does not
count, so a round that was disturbed on one side only moves nothing. Its bounds are those of the
bootstrap-t: the rounds are drawn anew with replacement, and the distribution of the estimate's
distance in standard errors is read off, not assumed.

Source: R. R. Wilcox, Introduction to Robust Estimation and Hypothesis Testing, 3.3 (trimmed mean,
20 %, winsorized standard error) and 4.4.2 (bootstrap-t for it); B. Efron and R. J. Tibshirani, An
Introduction to the Bootstrap, 12.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import ConfigError
from toolchain.ir import Measure, State
from toolchain.ir.order_statistics import RISK

LEAST_ROUNDS = 6
"""Ours: with fewer the trimmed mean has no more than three values inside, and no bound is worth
its name."""

_TRIMMED = 0.2  # of the rounds, at each end: see Wilcox
_RESAMPLES = 4000  # at 6 looks 33 of them are beyond a bound; takes 2 ms for 40 rounds
_LARGEST_LOG = 700.0  # beyond it the ratio is no double
_MEASURED = 0.0  # nothing that took no time can be compared

Logs = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """What the candidate took for 1 of the baseline.

    Each bound by itself holds with ``confidence``; None where the rounds give none: they are too
    few, or too much alike.
    """

    estimate: float
    low: float | None
    high: float | None
    confidence: float
    rounds: int

    def judge(self, tolerance: float) -> State:
        """Return whether the candidate surely takes at most ``1 + tolerance``, or surely more.

        >>> Ratio(1.0, 0.98, 1.02, 0.95, 10).judge(0.05)
        <State.MET: 'met'>
        >>> Ratio(1.1, 1.07, 1.13, 0.95, 10).judge(0.05)
        <State.BROKEN: 'broken'>
        >>> Ratio(1.06, 1.01, 1.11, 0.95, 10).judge(0.05)
        <State.INCONCLUSIVE: 'inconclusive'>
        """
        if self.high is not None and self.high <= 1 + tolerance:
            return State.MET
        if self.low is not None and self.low > 1 + tolerance:
            return State.BROKEN
        return State.INCONCLUSIVE


def looks(rounds: int, most: int) -> tuple[int, ...]:
    """Return after how many rounds the ratio is judged: each time there are twice as many.

    >>> looks(10, 40), looks(10, 50), looks(10, 10)
    ((10, 20, 40), (10, 20, 40, 50), (10,))
    """
    planned = []
    while rounds < most:
        planned.append(rounds)
        rounds *= 2
    return (*planned, most)


def confidence(planned: int) -> float:
    """Return how sure one of ``planned`` looks must be, so that all together risk ``RISK``.

    Divided evenly (Bonferroni), as in ``ir.order_statistics``: it holds although each look contains
    the rounds of the one before.

    >>> confidence(1), round(confidence(3), 4)
    (0.95, 0.9833)
    """
    return 1 - RISK / planned


def ratio(logs: Sequence[float] | Logs, sure: float, seed: int = 0) -> Ratio:
    """Return the ratio that ``logs`` show, one a round, with bounds that each hold with ``sure``.

    The same rounds and the same ``seed`` give the same bounds.

    Shapes:
        logs: (rounds,), natural logarithms, at least ``LEAST_ROUNDS``

    Errors:
        ValueError: fewer rounds (a mistake of the caller).

    >>> found = ratio([0.0, 0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01], sure=0.95)
    >>> found.estimate, found.low < 1 < found.high
    (1.0, True)
    """
    seen = np.asarray(logs, np.float64)
    if len(seen) < LEAST_ROUNDS:
        raise ValueError(f"{len(seen)} rounds; at least {LEAST_ROUNDS} are needed")
    centre, error = (float(value) for value in _trimmed(seen))
    if error == 0:  # all that counts is the same number: nothing is uncertain
        low = high = centre
    else:
        draw = np.random.default_rng(seed).integers(0, len(seen), (_RESAMPLES, len(seen)))
        centres, errors = _trimmed(seen[draw])
        away = centres - centre
        # a draw of one value over and over has no error: infinitely far, unless it hit the centre
        far = np.where(away == 0, 0.0, np.copysign(np.inf, away))
        distance = np.divide(away, errors, out=far, where=errors > 0)
        low = centre - error * float(np.quantile(distance, sure, method="higher"))
        high = centre - error * float(np.quantile(distance, 1 - sure, method="lower"))
    return Ratio(_ratio(centre) or math.nan, _ratio(low), _ratio(high), sure, len(seen))


def _ratio(log: float) -> float | None:
    return math.exp(log) if abs(log) < _LARGEST_LOG else None


def _trimmed(logs: Logs) -> tuple[Logs, Logs]:
    """Return the trimmed mean along the last axis, and its standard error."""
    ranked, count = np.sort(logs, axis=-1), logs.shape[-1]
    cut = int(_TRIMMED * count)
    kept = count - 2 * cut
    centre = ranked[..., cut : count - cut].mean(axis=-1)
    ranked[..., :cut] = ranked[..., cut, None]
    ranked[..., count - cut :] = ranked[..., count - cut - 1, None]
    spread = ((ranked - ranked.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    return centre, np.sqrt(spread / (kept * (kept - 1)))


def log_ratios(
    baseline: Mapping[str, Measure], candidate: Mapping[str, Measure]
) -> dict[str, Logs]:
    """Return by piece of work the log ratios of the two sides, (rounds,).

    Errors:
        ConfigError: the sides did other work, on other machines, or took no measurable time.
    """
    if baseline.keys() != candidate.keys():
        other = sorted(baseline.keys() ^ candidate.keys())
        raise ConfigError(
            f"the two sides were not played the same clips: {', '.join(other)}",
            hint="compare applications with the same clips and questions in [voice.audio]",
        )
    found = {}
    for name, before in baseline.items():
        after = candidate[name]
        after.comparable(before)
        if min((*before.samples, *after.samples), default=_MEASURED) <= _MEASURED:
            raise ConfigError(
                f"{name} took no measurable time", hint="give it more work: this is below the clock"
            )
        found[name] = np.log(after.samples) - np.log(before.samples)
    return found


def by_round(logs: Mapping[str, Logs]) -> Logs:
    """Return the mean log ratio of each round, (rounds,): the geometric mean of its ratios."""
    return np.asarray(np.mean(list(logs.values()), axis=0), np.float64)
