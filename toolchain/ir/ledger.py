"""The book of what each pass did, in bytes, seconds and proofs."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.units import Bytes, Seconds


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome of verifying a rewrite: which proof, whether it holds, what was compared."""

    name: str
    holds: bool
    detail: str


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

    @property
    def saved(self) -> Bytes:
        """Delivered bytes saved; negative where a pass pays in bytes for something else."""
        return Bytes(self.before - self.after)
