"""How hard to compress what, within a time that is counted, not measured: the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from heapq import heapify, heappop, heapreplace

from toolchain import resources
from toolchain.ir import Kind
from toolchain.tables import load, table

_RULES = "compression.toml"


@table
class Effort:
    """One rung of a ladder: levels of the codecs, for files up to a size, and what they cost."""

    up_to: int  # bytes
    gzip: int
    brotli: int
    zstd: int
    seconds_per_mb: float
    why: str
    zopfli: int = 0  # rounds; 0: without


@table
class DeltaEffort:
    """One rung of the ladder of deltas; the seconds are per megabyte of file and dictionary."""

    zstd: int
    seconds_per_mb: float
    why: str


@table
class FileClass:
    """Kinds of files that compress alike."""

    name: str
    kinds: tuple[Kind, ...]
    effort: tuple[Effort, ...]  # the best first; the last is for files of any size


@table
class _Rules:
    file_class: tuple[FileClass, ...]
    delta: tuple[DeltaEffort, ...]


def ladder(kind: Kind, size: int) -> tuple[Effort, ...]:
    """Return the efforts that a file may get, the best first; never none.

    Kinds of no class are compressed like the last one's.
    """
    classes = _rules().file_class
    found = next((c for c in classes if kind in c.kinds), classes[-1]).effort
    return tuple(e for e in found[:-1] if size <= e.up_to) + found[-1:]


def delta_ladder() -> tuple[DeltaEffort, ...]:
    """Return the efforts of deltas, the best first."""
    return _rules().delta


def within(costs: Sequence[Sequence[float]], seconds: float) -> list[int]:
    """Return a rung of each ladder in ``costs`` so that together they take ``seconds`` at most.

    All begin with the first rung; the one that costs most goes down one, and so on until it fits or
    all are at their last.

    >>> within([[9.0, 2.0], [5.0, 1.0, 0.5]], 8.0)
    [1, 0]
    >>> within([[9.0, 2.0], [5.0, 1.0, 0.5]], 1.0)
    [1, 2]
    """
    rungs = [0] * len(costs)
    total = sum(c[0] for c in costs)
    costliest = [(-c[0], i) for i, c in enumerate(costs) if len(c) > 1]
    heapify(costliest)
    while total > seconds and costliest:
        cost, i = costliest[0]
        rungs[i] += 1
        now = costs[i][rungs[i]]
        total += cost + now
        if rungs[i] + 1 < len(costs[i]):
            heapreplace(costliest, (-now, i))
        else:
            heappop(costliest)
    return rungs


@cache
def _rules() -> _Rules:
    return load(resources.folder("rules") / _RULES, _Rules)
