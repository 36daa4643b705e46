"""What evaluating an item may change, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.program.program import Found

_NONE: frozenset[Found] = frozenset()

# Somewhere that holds a value: whose, and which member of it. None is any member, ``ELEMENTS`` what
# an array or collection holds, ``let x`` a variable that functions share, ``get x`` an accessor,
# ``= x`` a member that has the name of a method: those are changed by name only.
Place = tuple[Found, str | None]
ELEMENTS = "[]"
NAMED = ("get ", "= ")


@dataclass(frozen=True, slots=True)
class Effect:
    """What evaluating an item does besides giving its names their values.

    ``changes`` are names whose values it changes: nobody notices unless one of them is needed.
    ``proved`` says what else certainly happens, ``unknown`` why nothing is known; "" for neither.
    ``sees``: whether it reads what something else may change, so that it matters when it runs.
    """

    changes: frozenset[Found] = _NONE
    proved: str = ""
    unknown: str = ""
    sees: bool = False

    @property
    def is_none(self) -> bool:
        """Whether nothing at all happens."""
        return not (self.changes or self.proved or self.unknown)


PURE = Effect()
