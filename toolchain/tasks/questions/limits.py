"""What a result has to keep: the family's default, or what the user asks for."""

from __future__ import annotations

from toolchain.tables import table
from toolchain.tasks.base import Limit


@table
class Asked:
    """``limit`` of a task, as in ``limit = { error = 0.02, agreement = 0.97 }``."""

    error: float | None = None
    agreement: float | None = None


def allowed(asked: Asked | float | None, default: Limit) -> Limit:
    """Return ``default`` with what was asked for in its place; a number alone is the error.

    >>> allowed(0.5, Limit(error=1.0, agreement=0.9))
    Limit(error=0.5, agreement=0.9)
    """
    given = Asked(error=asked) if isinstance(asked, int | float) else asked or Asked()
    return Limit(
        error=default.error if given.error is None else given.error,
        agreement=default.agreement if given.agreement is None else given.agreement,
    )
