"""Names of a file's parts for people and ids: printable, short, and each there once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_NAME_CHARACTERS = 200  # ours: a longer name is hostile or mangled, and no help in a table


def printable(name: str) -> str:
    """Return a name that cannot disturb a table: no control characters, not too long."""
    short = name[:_NAME_CHARACTERS]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def unique_names(names: Iterable[str]) -> list[str]:
    """Return printable names; the second ``x`` is ``x:2``, or the next that is free.

    >>> unique_names(["x", "x", "x:2", ""])
    ['x', 'x:2', 'x:2:2', 'unnamed']
    """
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    found = []
    for raw in names:
        name = label = printable(raw) or "unnamed"
        while label in taken:
            counts[name] += 1
            label = f"{name}:{counts[name] + 1}"
        taken.add(label)
        found.append(label)
    return found
