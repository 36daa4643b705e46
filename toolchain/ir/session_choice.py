"""How a model's session is opened on this machine: what was chosen, and what it gained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tuning(StrEnum):
    """When session options are searched."""

    ONCE = "once"  # what was found on this machine is known from then on
    AGAIN = "again"  # now, whatever is known
    OFF = "off"  # all models are opened as usual


@dataclass(frozen=True, slots=True)
class SessionChoice:
    """One model; figures are medians of fresh processes, as usual and as chosen, taken in turn.

    Where nothing was chosen, both are the usual ones; None where nothing was measured.
    """

    artifact: str  # id of the model in the project
    stage: str
    usual: str  # in words: "1 thread"
    chosen: str
    why: str
    bits: str = ""  # whether answers are the same to the last bit, or how near
    run_ms: tuple[float, float] | None = None  # wall time of its runs in one pass
    load_ms: tuple[float, float] | None = None
    held: tuple[int, int] | None = None  # bytes of its stage while it works
    most: tuple[int, int] | None = None  # and at most

    @property
    def changed(self) -> bool:
        """Whether something else than the usual was chosen."""
        return self.usual != self.chosen
