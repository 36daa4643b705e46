"""How work grows with its input: two times beside each other, so that no machine is too slow."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu_s(work: Callable[[], object], rounds: int = 3) -> float:
    """Return the least CPU time, in seconds, that ``work`` took in ``rounds``."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def growth(work: Callable[[int], object], few: int, many: int) -> float:
    """Return how many times the CPU time of ``work(few)`` is that of ``work(many)``."""
    return cpu_s(lambda: work(many)) / max(cpu_s(lambda: work(few)), 1e-4)
