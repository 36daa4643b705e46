"""Tells which file takes the place of which file of the last release: by names without hashes."""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass

_HASH_MIN = 8  # esbuild, rollup and vite write 8 characters, webpack 20
_SEPARATORS = "-."
_BASE32 = frozenset(string.ascii_uppercase + "234567")  # esbuild's
_HEX = frozenset("0123456789abcdef")
_WORD = frozenset(string.ascii_letters + string.digits + "_")


@dataclass(frozen=True, slots=True)
class Place:
    """The names that later versions of a file have: all that are ``folder/start*end``.

    ``end`` is None where the name has no hash: then only ``folder/start`` is meant.
    """

    folder: str
    start: str
    end: str | None


def place(name: str) -> Place:
    """Return the place of the file ``name``: what bundlers call it but for a hash of its content.

    >>> place("app/chunk-3ZB2RMEH.js")
    Place(folder='app', start='chunk-', end='.js')
    >>> place("main.js").end, place("main.4fc8a1e0.js").end, place("CHANGES-to-read.md").end
    (None, '.js', None)
    """
    folder, _, base = name.rpartition("/")
    stem, dot, suffix = base.rpartition(".")
    if not dot:
        return Place(folder, base, None)
    end = len(stem)
    while end > 0:
        start = max(stem.rfind(s, 0, end) for s in _SEPARATORS) + 1
        if start > 0 and _is_hash(stem[start:end]):
            return Place(folder, stem[:start], f"{stem[end:]}.{suffix}")
        end = start - 1
    return Place(folder, base, None)


def _is_hash(word: str) -> bool:
    """Whether ``word`` is a hash and no word of a language; too broad a place does no harm."""
    if len(word) < _HASH_MIN or not _WORD.issuperset(word):
        return False
    has_digit = any(c in string.digits for c in word)
    if len(word) == _HASH_MIN and _BASE32.issuperset(word):
        return True
    is_mixed = word != word.lower() and word != word.upper()
    return has_digit and (_HEX.issuperset(word) or is_mixed)


def predecessors(names: Iterable[str], previous: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each of ``names``, the files of the last release whose place it is in, sorted.

    A file of the same name is the only one; several are left where names differ in a hash alone.
    """
    old = sorted(previous)
    places: dict[Place, list[str]] = {}
    for name in old:
        places.setdefault(place(name), []).append(name)
    known = frozenset(old)
    return {
        name: (name,) if name in known else tuple(places.get(place(name), ())) for name in names
    }
