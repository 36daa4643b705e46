"""Books what a pass saved: rows of the ledger, which add up to what is delivered less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from toolchain.analysis.packages import package_of
from toolchain.errors import PassError
from toolchain.ir import Artifact, Candidate, Graph, LedgerRow, Proof
from toolchain.rewriting import UNCHANGED, Outcome
from toolchain.units import Bytes, Seconds


@dataclass(frozen=True, slots=True)
class Booking:
    """What is said once of a pass over the whole graph."""

    proof: Proof
    seconds: Seconds
    cached: bool
    candidates: tuple[Candidate, ...] = ()


def rows_of(name: str, before: Graph, after: Graph, booking: Booking) -> list[LedgerRow]:
    """Return one row per package whose delivered bytes changed; what is said once, on the first."""
    old, new = _by_package(before), _by_package(after)
    changed = [p for p in sorted({*old, *new}) if old.get(p, 0) != new.get(p, 0)]
    proof = booking.proof
    if not changed:
        detail = UNCHANGED if after == before else proof.detail
        row = LedgerRow(name, "*", before.delivered, after.delivered, booking.seconds, proof)
        row = replace(row, kept=after != before, cached=booking.cached)
        return [replace(row, proof=replace(proof, detail=detail), candidates=booking.candidates)]
    rows = [
        LedgerRow(
            name,
            package,
            Bytes(old.get(package, 0)),
            Bytes(new.get(package, 0)),
            Seconds(0),
            proof,
            cached=booking.cached,
        )
        for package in changed
    ]
    rows[0] = replace(rows[0], seconds=booking.seconds, candidates=booking.candidates)
    return rows


def row_of(name: str, artifact: Artifact, outcome: Outcome) -> LedgerRow:
    """Return the row of a file."""
    after = outcome.size if outcome.kept else artifact.size
    return LedgerRow(
        name,
        artifact.id,
        artifact.size,
        after,
        outcome.seconds,
        outcome.proof,
        kept=outcome.kept,
        cached=outcome.cached,
    )


def nothing(name: str, graph: Graph, proof: Proof, *, seconds: float = 0) -> LedgerRow:
    """Return the row of a pass over the whole graph that left it as it was."""
    size = graph.delivered
    return LedgerRow(name, "*", size, size, Seconds(seconds), proof, kept=False)


def check_sum(ledger: Iterable[LedgerRow], before: Graph, after: Graph, what: str) -> None:
    """Make sure that ``ledger``, that of ``what``, adds up.

    Errors:
        PassError: it does not.
    """
    if sum(r.saved for r in ledger) != before.delivered - after.delivered:
        raise PassError(f"{what} does not add up")


def _by_package(graph: Graph) -> dict[str, int]:
    """Return the delivered bytes of each package."""
    packages: dict[str, int] = {}
    for name, size in graph.least().items():
        packages[package_of(name)] = packages.get(package_of(name), 0) + size
    return packages
