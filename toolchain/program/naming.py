"""All syntax in which names are used or declared; of what is not listed, the parts are walked."""

from __future__ import annotations

from toolchain.program import declarations, references
from toolchain.program.names import Names

_HANDLERS = {**references.HANDLERS, **declarations.HANDLERS}


def new_names() -> Names:
    """Return what walks a piece of JavaScript or TypeScript."""
    return Names(_HANDLERS)
