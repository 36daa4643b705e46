"""Which execution format a search should leave room for: one that computes much and costs little.

A format that rounds activations makes an error of its own, beside that of the codes; a search that
used all of the limit for the codes would rule it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolchain.errors import InputError
from toolchain.formats.execution_format import FOLDED, applied
from toolchain.formats.onnx_runner import open_runner
from toolchain.tasks.base import Limit, Score, Split, Task

_WORTH = 0.75
"""Ours: a format that leaves more than this of the model's bytes computes too little of it to be
worth a tighter limit. Products are a third of the weights then."""

_MOST = 0.6
"""Ours: of the limit. Half of the limit costs the codes half a bit a weight, where errors are
squares: an eighth of the download of a model at 4 bits."""


def worth_room(model: bytes, task: Task, formats: Sequence[str]) -> str:
    """Return the first of ``formats`` that makes ``model`` much smaller within part of the limit.

    "folded" if none does. What is asked is the original in that format, on the search data.

    Errors:
        InputError: the model cannot be asked.
    """
    seen = task.instrumented(model)
    changed = ((name, applied(seen, name)) for name in formats)
    worth = [(name, made) for name, made in changed if len(made) < _WORTH * len(seen)]
    if not worth:
        return FOLDED
    reference = task.reference(open_runner(seen), Split.SEARCH)
    for name, made in worth:
        try:
            score = task.score(open_runner(made), reference, Split.SEARCH)
        except InputError:  # the runtime cannot run it so: no format for this model
            continue
        if share(score, task.limit) <= _MOST:
            return name
    return FOLDED


def share(score: Score, limit: Limit) -> float:
    """Return how much of the limit the score uses up; more than 1 where it breaks it, as NaN does.

    >>> share(Score(0.1, 1.0, 10), Limit(error=0.4))
    0.25
    """
    shares = [0.0]
    if limit.error is not None:
        shares.append(_part(score.error, limit.error))
    if limit.agreement is not None:
        shares.append(_part(1 - score.agreement, 1 - limit.agreement))
    return max(shares)


def _part(lost: float, allowed: float) -> float:
    """Return ``lost / allowed``; where nothing is allowed, nothing or infinitely much."""
    if not math.isfinite(lost):
        return math.inf
    if allowed > 0:
        return lost / allowed
    return math.inf if lost > 0 else 0.0
