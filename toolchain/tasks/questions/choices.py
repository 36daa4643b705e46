"""How far two models are in choosing the next token: probabilities and first choices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]  # (positions, vocabulary)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Choices:
    """Comparison at each position: divergence in nats, and whether the first choice is the same."""

    divergence: NDArray[np.float64]
    same: NDArray[np.bool_]

    @classmethod
    def between(cls, expected: Logits, observed: Logits) -> Choices:
        """Compare logits at the same positions; what is not a number diverges without end."""
        before, after = _log_probabilities(expected), _log_probabilities(observed)
        nats = (np.exp(before) * (before - after)).sum(-1)
        broken = ~np.isfinite(observed).all(-1)
        nats = np.where(broken | ~np.isfinite(nats), np.inf, np.maximum(nats, 0))
        return cls(nats, (expected.argmax(-1) == observed.argmax(-1)) & ~broken)

    @classmethod
    def joined(cls, parts: Iterable[Choices]) -> Choices:
        """Return the comparison at all positions of ``parts``."""
        every = list(parts)
        return cls(
            np.concatenate([p.divergence for p in every]), np.concatenate([p.same for p in every])
        )


def leads(logits: Logits) -> NDArray[np.float32]:
    """Return by how many nats the likeliest token leads the second, (positions,)."""
    best: NDArray[np.float32] = np.sort(np.partition(logits, -2, axis=-1)[:, -2:], axis=-1)
    return best[:, 1] - best[:, 0]


def _log_probabilities(logits: Logits) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - np.nan_to_num(logits.max(-1, keepdims=True))
    with np.errstate(invalid="ignore"):  # not-a-number is dealt with by the caller
        found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def edits(expected: Sequence[T], observed: Sequence[T]) -> int:
    """Return how many words must be changed, added or left out to make one text of the other.

    >>> edits("the quick fox".split(), "a quick red fox".split())
    2
    """
    row = list(range(len(observed) + 1))
    for number, word in enumerate(expected, 1):
        diagonal, row[0] = row[0], number
        for at, other in enumerate(observed, 1):
            diagonal, row[at] = (
                row[at],
                min(diagonal + (word != other), row[at] + 1, row[at - 1] + 1),
            )
    return row[-1]
