"""The book of what each pass did, in bytes, seconds and proofs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from toolchain.units import Bytes, Seconds


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome of verifying a rewrite: which proof, whether it holds, what was compared."""

    name: str
    holds: bool
    detail: str


class Fate(StrEnum):
    """What became of a candidate."""

    KEPT = "kept"
    LARGER = "larger"  # than one that is proved; whether it would hold is not known
    UNPROVED = "failed proof"
    UNSTEADY = "not the same twice"
    SLOW = "too slow"
    ABSENT = "not available"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several results of a pass over the whole graph; the smallest proved one is kept."""

    name: str
    seconds: Seconds
    fate: Fate
    size: Bytes | None = None  # in brotli, of what was made; None if nothing was
    detail: str = ""  # why it was not kept


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One pass on one artifact (or one package, for a pass over the whole graph).

    ``before`` and ``after`` are delivered bytes, so that the rows of a ledger sum to the graph's
    delivered bytes before less those after. A rewrite that was dropped has ``kept=False``, equal
    ``before`` and ``after``, and its proof says why.
    """

    step: str
    artifact: str
    before: Bytes
    after: Bytes
    seconds: Seconds
    proof: Proof
    kept: bool = True
    cached: bool = False
    candidates: tuple[Candidate, ...] = ()  # on the first row of a pass that has them

    @property
    def saved(self) -> Bytes:
        """Delivered bytes saved; negative where a pass pays in bytes for something else."""
        return Bytes(self.before - self.after)
