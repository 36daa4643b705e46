"""What evaluating an item may change, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.program.program import Found

_NONE: frozenset[Found] = frozenset()


@dataclass(frozen=True, slots=True)
class Effect:
    """What evaluating an item does besides giving its names their values.

    ``changes`` are names whose values it changes: nobody notices unless one of them is needed.
    ``proved`` says what else certainly happens, ``unknown`` why nothing is known; "" for neither.
    """

    changes: frozenset[Found] = _NONE
    proved: str = ""
    unknown: str = ""

    @property
    def is_none(self) -> bool:
        """Whether nothing at all happens."""
        return not (self.changes or self.proved or self.unknown)


PURE = Effect()
