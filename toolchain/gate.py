"""Judges measures against budgets; knows no files, no clock, no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from toolchain.errors import EXIT_BROKEN, EXIT_INCONCLUSIVE, EXIT_MET
from toolchain.ir import Budget, Measure, State, Verdict


def judge(measures: Iterable[Measure], budgets: Sequence[Budget]) -> tuple[Verdict, ...]:
    """Return one verdict per budget, in the order of the budgets.

    A budget nobody measured is not met: a gate that cannot see must not open.

    >>> [v.ok for v in judge([], [Budget("core-bundle", "byte", 4e6, "first load")])]
    [False]
    """
    by_name = {m.name: m for m in measures}
    return tuple(budget.judge(by_name.get(budget.measure)) for budget in budgets)


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """Return 0 if all are met, 1 if any is broken or was not measured, else 5 (inconclusive)."""
    return exit_code_of(v.state for v in verdicts)


def exit_code_of(found: Iterable[State]) -> int:
    """Return the exit code of states that stand for themselves; as ``exit_code``."""
    states = set(found)
    if states & {State.BROKEN, State.NOT_MEASURED}:
        return EXIT_BROKEN
    return EXIT_INCONCLUSIVE if State.INCONCLUSIVE in states else EXIT_MET
