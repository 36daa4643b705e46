"""The tables: for a terminal, and as Markdown between two marks in docs/models.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from model_peers.bars import Bar
from model_peers.rows import ORIGINAL, STRICT, VTOOL, Made, Result, Row
from model_peers.traps import Trap

BEGIN, END = "<!-- written by nox -s models: begin -->", "<!-- written by nox -s models: end -->"
_HEAD = (
    "tool", "outcome", "file MB", "download MB", "error", "same", "ms a call", "latency",
    "load", "memory", "tool s", "tool MB",
)  # fmt: skip


def cells(row: Row, before: Made) -> list[str]:
    """Return the texts of one row."""
    made, scored, taken = row.made, row.scored, row.taken
    asked = scored is not None and bool(scored.unit)
    ran = taken is not None and not taken.failed
    return [
        row.tool,
        row.outcome(before) if row.tool != ORIGINAL else "the input",
        f"{made.bytes / 1e6:.2f}" if made.bytes else "",
        f"{made.download_bytes / 1e6:.3f}" if made.download_bytes else "",
        f"{scored.error:.3g} {scored.unit}" if asked and scored else "",
        f"{scored.agreement:.2%}" if asked and scored else "",
        f"{taken.latency_ms:.2f}" if ran and taken else "",
        f"{taken.latency_ratio:.2f}" if ran and taken else "",
        f"{taken.load_ratio:.2f}" if ran and taken else "",
        f"{taken.peak_ratio:.2f}" if ran and taken else "",
        f"{made.cpu_s:.1f}" if made.cpu_s else "",
        f"{made.peak_bytes / 1e6:.0f}" if made.peak_bytes else "",
    ]


def text(result: Result, judged: Sequence[Bar], traps: Sequence[Trap]) -> str:
    """Return everything as plain text."""
    lines = [result.machine]
    for model, rows in _grouped(result.rows):
        before = rows[0].made
        table = [list(_HEAD), *(cells(row, before) for row in rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(_HEAD))]
        lines += ["", f"{model}: {result.inputs.get(model, '')}"]
        lines += [
            "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in table
        ]
        lines += [f"  {tool}: {words}" for tool, words in _words(rows)]
    lines += ["", summary(result.rows), "", "bars"]
    lines += [f"  {b.verdict:13} {b.model}: {b.what}: {b.figures}" for b in judged]
    lines += ["", "traps"]
    lines += [f"  {t.name}: {t.theirs} | vtool: {t.ours}" for t in traps]
    return "\n".join(lines) + "\n"


def markdown(result: Result, judged: Sequence[Bar], traps: Sequence[Trap]) -> str:
    """Return everything as Markdown."""
    versions = ", ".join(f"{name} {found}" for name, found in sorted(result.versions.items()))
    lines = [f"Measured on {result.machine}, one thread. {versions}."]
    lines += [summary(result.rows), ""]
    for model, rows in _grouped(result.rows):
        before = rows[0].made
        lines += [
            f"### {model}",
            "",
            f"{result.inputs.get(model, '')} {result.limits.get(model, '')}",
        ]
        lines += ["", _line(_HEAD), _line(["---"] * len(_HEAD))]
        lines += [_line(cells(row, before)) for row in rows]
        if words := _words(rows):
            lines += ["", *(f"- {tool}: {one}" for tool, one in words)]
        lines += [""]
    lines += ["## The goal's bars", "", _line(["model", "bar", "verdict", "figures"])]
    lines += [_line(["---"] * 4)]
    lines += [_line([b.model, b.what, b.verdict, b.figures]) for b in judged]
    lines += ["", "## Known traps", "", _line(["trap", "what came out", "what vtool did instead"])]
    lines += [_line(["---"] * 3)]
    lines += [_line([t.name, t.theirs, t.ours]) for t in traps]
    return "\n".join(lines) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """Return how many results of other tools ended how.

    >>> summary([Row("m", ORIGINAL, Made()), Row("m", "t", Made(failed="it raised"))])
    'Of 1 results of other tools: tool fails 1.'
    """
    before = {row.model: row.made for row in rows if row.tool == ORIGINAL}
    others = [row for row in rows if row.tool not in {ORIGINAL, VTOOL, STRICT}]
    counts = Counter(row.outcome(before[row.model]) for row in others)
    ended = ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common())
    return f"Of {len(others)} results of other tools: {ended}."


def put(path: Path, table: str) -> None:
    """Write ``table`` between the marks in the file at ``path``.

    Errors:
        ValueError: the file has not both marks, in their order.
    """
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path.name} has no place for the tables")
    path.write_text(f"{before}{BEGIN}\n{table}{END}{after}", "utf-8")


def _grouped(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    names = dict.fromkeys(row.model for row in rows)
    return [(name, [row for row in rows if row.model == name]) for name in names]


def _words(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return what failed in the tool's or the runtime's own words, and how limits are broken."""
    found = []
    for row in rows:
        scored, taken = row.scored, row.taken
        said = row.made.failed or (scored.words or scored.problem if scored else "")
        said = said or (taken.failed if taken else "") or row.made.note
        if said:
            found.append((row.tool, said))
    return found


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(one.replace("|", "/").replace("\n", " ") for one in texts) + " |"
