"""Bounds of a percentile from the samples alone, whatever they are distributed like.

Of n independent samples, the number that do not exceed the percentile p of what they are drawn
from is binomial (n, p). So the k-th smallest sample is above that percentile with a probability
that depends on n, p and k only: no normal distribution, no variance is assumed.

Source: W. J. Conover, Practical Nonparametric Statistics, 3rd edition, 3.2 (confidence interval for
a quantile); H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

RISK = 0.05
"""Of being wrong in one direction: a limit said to be kept that is not, or broken that is kept."""

MOST_LOOKS = 3
"""How often a measurement may be judged and continued: with each look the bounds get wider. For p95
one look needs 59 samples, three need 80, five 90."""

_ROUNDING = 1 + 1e-9  # one sample of p95 is wrong in exactly 5 %: not in 5.000000000000001 %

_LEAST_SHARE = 1e-9  # nobody has the samples to tell a rarer event; its logarithm is still exact


@dataclass(frozen=True, slots=True)
class Interval:
    """Between which values a percentile lies; None where the samples are too few to say.

    Each bound by itself holds with ``confidence``.
    """

    low: float | None
    high: float | None
    confidence: float
    samples: int  # that it is computed from
    needed: int  # samples that give both bounds


def confidence(looks: int) -> float:
    """Return how sure one of ``looks`` planned looks must be, so that all together risk ``RISK``.

    Who looks, takes more samples if it is not yet clear, and looks again, has as many chances to be
    wrong as looks. The risk is divided evenly (Bonferroni): that holds although each look contains
    the samples of the one before.

    >>> confidence(1), round(confidence(3), 4)
    (0.95, 0.9833)
    """
    if not 1 <= looks <= MOST_LOOKS:
        raise ValueError(f"a measurement is looked at 1 to {MOST_LOOKS} times, not {looks}")
    return 1 - RISK / looks


def interval(samples: Sequence[float], percent: float, sure: float) -> Interval:
    """Return the bounds of the percentile ``percent`` (above 0, below 100) of the distribution.

    Both are observed values. Exact for any distribution, also with ties, if the samples are
    independent; where neighbours resemble one another (a busy minute) it is too narrow.
    """
    count = len(samples)
    low, high = ranks(count, percent, sure)
    ranked = sorted(samples)
    return Interval(
        low=ranked[low - 1] if low else None,
        high=ranked[high - 1] if high else None,
        confidence=sure,
        samples=count,
        needed=needed(percent, sure),
    )


@lru_cache(maxsize=1024)
def ranks(count: int, percent: float, sure: float) -> tuple[int | None, int | None]:
    """Return which of ``count`` samples in order, from 1, are the lower and the upper bound.

    >>> ranks(59, 95, 0.95), ranks(58, 95, 0.95)
    ((53, 59), (52, None))
    """
    share, risk = _share(percent), (1 - sure) * _ROUNDING
    low, below = 0, 0.0
    while low < count and (below := below + _binomial(count, low, share)) <= risk:
        low += 1
    high, above = count + 1, 0.0
    while high > 1 and (above := above + _binomial(count, high - 1, share)) <= risk:
        high -= 1
    return low or None, high if high <= count else None


def needed(percent: float, sure: float) -> int:
    """Return the fewest samples that give both bounds.

    >>> needed(95, 0.95), needed(50, 0.95), needed(95, confidence(3))
    (59, 5, 80)
    """
    rarer = min(_share(percent), 1 - _share(percent))
    return math.ceil(math.log((1 - sure) * _ROUNDING) / math.log1p(-rarer))


def _share(percent: float) -> float:
    return min(max(percent / 100, _LEAST_SHARE), 1 - _LEAST_SHARE)


def _binomial(count: int, hits: int, share: float) -> float:
    """Return the probability of ``hits`` in ``count`` draws; by logarithms, or it underflows."""
    log_ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(log_ways + hits * math.log(share) + (count - hits) * math.log1p(-share))
