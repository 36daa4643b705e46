"""Finds by their names which output of a model is the next value of which input."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def successors(names: Iterable[str], outputs: Collection[str]) -> dict[str, str]:
    """Pair inputs with outputs whose name continues theirs.

    ``state`` and ``stateN``, ``past.0.key`` and ``present.0.key``, ``h_in`` and ``h_out``.

    >>> successors(["past_key_values.0.key", "x"], ["logits", "present.0.key"])
    {'past_key_values.0.key': 'present.0.key'}
    """
    pairs = {}
    for name in names:
        stem = name.replace("past_key_values", "present").replace("past", "present")
        stem = stem.removesuffix("_in").removesuffix("_input")
        for output in outputs:
            if output.startswith(stem):
                pairs[name] = output
    return pairs
