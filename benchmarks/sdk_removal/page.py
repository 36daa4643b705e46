"""The removal tables: for a terminal of 80 columns, and as Markdown in docs/removal.md."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from sdk_removal.rows import Row

BEGIN, END = "<!-- written by nox -s removal: begin -->", "<!-- written by nox -s removal: end -->"
_HEAD = (
    "consumer",
    "bundler",
    "removed",
    "inside",
    "lost",
    "runs as",
    "files",
    "bytes",
    "brotli",
    "s",
)
_COLUMNS = 80  # of a terminal
_CONSTRUCT = "construct"


def cells(row: Row) -> list[str]:
    """Return the texts of one row."""
    if row.problem:
        return [row.consumer, row.bundler, "failed", "", "", "", "", "", "", f"{row.seconds:.1f}"]
    return [
        row.consumer,
        row.bundler,
        f"{row.removed.rate:.2%}",
        f"{row.inside.rate:.1%}",
        str(len(row.lost)),
        "other" if row.differs else "before",
        str(row.files),
        str(row.size_bytes),
        str(row.brotli_bytes),
        f"{row.seconds:.1f}",
    ]


def by_construct(rows: Sequence[Row], consumer: str) -> list[list[str]]:
    """Return a table: rate by construct, one column for each bundler that wrote something."""
    ran = [row for row in rows if row.consumer == consumer and row.by_construct is not None]
    names = sorted({name for row in ran for name in row.by_construct or ()})
    table = [[_CONSTRUCT, "bytes", *(row.bundler for row in ran)]]
    for name in names:
        here = [(row.by_construct or {})[name] for row in ran]
        table.append([name, str(here[0].dead_bytes), *(f"{r.rate:.1%}" for r in here)])
    if ran:
        dead = str(ran[0].removed.dead_bytes)
        table.append(["all", dead, *(f"{row.removed.rate:.1%}" for row in ran)])
    return table


def text(rows: Sequence[Row]) -> str:
    """Return everything as plain text."""
    parts = [_aligned([list(_HEAD), *map(cells, rows)])]
    for consumer in dict.fromkeys(row.consumer for row in rows):
        parts += [f"{consumer}: removed, of the dead bytes of each construct"]
        parts += [_aligned(by_construct(rows, consumer))]
    parts += [fill(line, _COLUMNS, subsequent_indent="  ") for line in _words(rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(rows: Sequence[Row], machine: str, day: str) -> str:
    """Return everything as Markdown."""
    parts = [f"{machine}; {day}.", _piped([list(_HEAD), *map(cells, rows)])]
    for consumer in dict.fromkeys(row.consumer for row in rows):
        parts += [f"## {consumer}: removed, of the dead bytes of each construct"]
        parts += [_piped(by_construct(rows, consumer))]
    words = _words(rows)
    return "\n\n".join([*parts, *(["## What was lost", *words] if words else [])]) + "\n"


def _words(rows: Sequence[Row]) -> list[str]:
    """Say what failed, and which live items are gone, once for all bundlers that lost the same."""
    found: dict[str, list[str]] = {}
    for row in rows:
        lost = ", ".join(item.rpartition("@voice-sdk/")[2] for item in row.lost)
        told = "; ".join(row.differs)
        why = (
            row.problem
            or (f"lost {lost}" if lost else "")
            or (f"says otherwise: {told}" * bool(told))
        )
        if why:
            found.setdefault(f"{row.consumer}: {why}", []).append(row.bundler)
    return [f"{', '.join(names)}: {what}" for what, names in found.items()]


def _aligned(table: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = []
    for line in table:
        first = [c.ljust(w) for c, w in zip(line[:1], widths[:1], strict=True)]
        lines.append(
            " ".join([*first, *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        )
    return "\n".join(lines)


def _piped(table: list[list[str]]) -> str:
    head, *rest = table
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rest))
