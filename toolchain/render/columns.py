"""A table as columns instead of rows, so that a page with 20,000 owners stays small.

Only the page uses this; ``report.json`` keeps plain rows. The page reads both forms, see
``expand`` in ``reports/report.html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_WORDS = 0.5  # a column with fewer different strings than half its rows is worth a dictionary
_ABSENT = object()
_LAST_UTF16_UNIT = "\uffff"  # beyond it, Python and JavaScript count characters differently


def columns(rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return ``rows`` as one encoded list a key.

    A column is a list of values; or ``words`` and, for each row, the number of its word; or, for
    strings that begin alike (sorted paths), ``shared`` and ``rest``: how many characters of the
    row above to keep, and what follows them. Objects are a table of their own. A key that some
    rows lack has ``filled``, the numbers of those that have it, and the column of ``values``.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        "rows": len(rows),
        "columns": {name: _column([row.get(name, _ABSENT) for row in rows]) for name in names},
    }


def _column(values: list[object]) -> object:
    filled = [number for number, value in enumerate(values) if value is not _ABSENT]
    if len(filled) < len(values):
        return {"filled": filled, "values": _column([values[number] for number in filled])}
    objects = [value for value in values if isinstance(value, Mapping)]
    if objects and len(objects) == len(values):
        return columns(objects)
    strings = [value for value in values if isinstance(value, str)]
    if len(strings) < len(values):
        return values
    words = list(dict.fromkeys(strings))
    if len(words) < _WORDS * len(strings):
        number = {word: n for n, word in enumerate(words)}
        return {"words": _shared(words), "at": [number[s] for s in strings]}
    return _shared(strings)


def _shared(strings: list[str]) -> dict[str, object]:
    shared, rest = [], []
    above = ""
    for string in strings:
        keep = _common(above, string)
        shared.append(keep)
        rest.append(string[keep:])
        above = string
    return {"shared": shared, "rest": rest}


def _common(above: str, below: str) -> int:
    """Return how many leading characters are equal and are one UTF-16 unit each."""
    count = 0
    for a, b in zip(above, below, strict=False):
        if a != b or a > _LAST_UTF16_UNIT:
            break
        count += 1
    return count
