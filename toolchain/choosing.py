"""Runs a pass over the whole graph and proves its result; of several candidates the smallest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from toolchain.ir import Candidate, Fate, Graph, Proof, Store
from toolchain.passes.base import Attempt, GraphPass, PortfolioPass
from toolchain.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Chosen:
    """The graph that is kept, or the one from before if no proof holds; and all candidates."""

    graph: Graph
    proof: Proof
    candidates: tuple[Candidate, ...] = ()

    @property
    def lasts(self) -> bool:
        """Whether another run on this machine would say the same: nothing was missing."""
        return self.proof.holds and all(c.fate is not Fate.ABSENT for c in self.candidates)


class Prove(Protocol):
    """Tells whether a graph may stand for another."""

    def __call__(self, after: Graph, /) -> Proof:
        """Return the proof of ``after``."""
        ...


@dataclass(frozen=True)
class Doing:
    """How a pass is run that makes one thing, and how what a pass makes is proved."""

    apply: Callable[[Graph], Graph]
    prove: Callable[[Graph], Proof]
    progress: Progress = SILENT


def chosen(made: GraphPass, graph: Graph, store: Store, doing: Doing) -> Chosen:
    """Apply ``made`` to ``graph`` and prove what comes out.

    Errors: those of the pass.
    """
    apply, prove, progress = doing.apply, doing.prove, doing.progress
    if not isinstance(made, PortfolioPass):
        after = apply(graph)
        return Chosen(after, prove(after))
    attempts = []
    for attempt in made.attempts(graph, store):
        attempts.append(attempt)
        progress.update(f"candidates, {attempt.name} is done", len(attempts), 0)
    if not attempts:
        return Chosen(graph, prove(graph))
    if all(one.graph is None for one in attempts):
        why = {one.detail: one.name for one in reversed(attempts)}
        said = "; ".join(f"{name}: {detail}" for detail, name in reversed(why.items()))
        rows = tuple(_row(one, None, {}) for one in attempts)
        return Chosen(graph, Proof(made.proof, holds=False, detail=said), rows)
    return smallest_proved(graph, attempts, prove, progress)


def smallest_proved(
    graph: Graph, attempts: Sequence[Attempt], prove: Prove, progress: Progress = SILENT
) -> Chosen:
    """Return the smallest of ``attempts`` that is proved and the same when it is made again.

    Larger ones than that are not proved: nobody needs to know. Where none holds, the proof is that
    of the smallest.
    """
    order = sorted((one for one in attempts if one.graph is not None), key=lambda one: one.rank)
    lost: dict[str, Candidate] = {}
    proofs: list[Proof] = []
    for one in order:
        assert one.graph is not None  # noqa: S101 - for the type checker
        progress.update(f"proving {one.name}", len(proofs), len(order))
        proof = prove(one.graph)
        proofs.append(proof)
        if not proof.holds:
            lost[one.name] = _candidate(one, Fate.UNPROVED, proof.detail)
        elif (again := one.again()).different:
            lost[one.name] = _candidate(one, Fate.UNSTEADY, again.different)
        else:
            rows = tuple(_row(each, one, lost, again.detail) for each in _shown(attempts))
            return Chosen(again.graph or one.graph, proof, rows)
    rows = tuple(_row(each, None, lost) for each in _shown(attempts))
    failed = next((p for p in proofs if not p.holds), None)
    why = failed or Proof(proofs[0].name, holds=False, detail="no candidate is the same twice")
    return Chosen(graph, why, rows)


def _shown(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the candidates as a reader wants them: the smallest first, then those without size."""
    return sorted(attempts, key=lambda one: (one.graph is None, one.rank))


def _row(
    one: Attempt, kept: Attempt | None, lost: dict[str, Candidate], detail: str = ""
) -> Candidate:
    if one.name in lost:
        return lost[one.name]
    if one is kept:
        return _candidate(one, Fate.KEPT, "; ".join(filter(None, (one.detail, detail))))
    if one.graph is None:
        return _candidate(one, one.fate, one.detail)
    return _candidate(one, Fate.LARGER, _more(one, kept) if kept else "no smaller")


def _more(one: Attempt, kept: Attempt) -> str:
    """Return what ``one`` takes more than ``kept``: bytes, or requests that it makes instead."""
    if one.size > kept.size:
        return f"{one.size - kept.size:,} bytes more"
    costs = one.rank[0] - kept.rank[0]
    return f"its requests cost {costs:,} bytes more" if costs else "no smaller"


def _candidate(one: Attempt, fate: Fate, detail: str) -> Candidate:
    return Candidate(one.name, one.seconds, fate, one.size if one.graph else None, detail)
