"""Prints what ``vtool bench`` found: ratios with their bounds, rates of the self-test, counts."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from toolchain.harness.bench import Comparison
from toolchain.harness.instructions import Counts
from toolchain.harness.paired import Ratio
from toolchain.harness.self_test import (
    MORE,
    NEEDED_DETECTION,
    NEEDED_WINDOWS,
    SelfTest,
)
from toolchain.ir import State
from toolchain.render.terminal import plain
from toolchain.tables import dump
from toolchain.units import show_share

_FAR = 2.0
"""Times the estimate, or a part of it. Ours: of six rounds four count, so that one draw in 20 has
hardly an error of its own to divide by, and the bootstrap-t reaches anywhere (9.7 for a ratio of 1
was seen)."""
_UNBOUNDED = "not bounded"

SCHEMA_ID = "urn:vtool:bench:1"
_WORDS = {
    State.MET: "met: surely at most the tolerance",
    State.BROKEN: "broken: surely more than the tolerance",
    State.INCONCLUSIVE: "inconclusive: the tolerance lies between the bounds",
}


def document(found: Comparison | SelfTest | Sequence[Counts]) -> str:
    """Return ``found`` as JSON text, with all raw samples."""
    name = {Comparison: "comparison", SelfTest: "self_test"}.get(type(found), "instructions")
    body = {"schema": SCHEMA_ID, name: dump(found)}
    if isinstance(found, SelfTest):
        body["verdict"] = found.state.value
        body["rates"] = {
            f"{clock} +{100 * more:.0f} %": dump(found.rates(clock, more))
            for clock in ("cpu", "wall")
            for more in (0.0, MORE)
        }
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def print_comparison(found: Comparison, console: Console | None = None) -> None:
    """Print the ratio of each clip and of all, and the verdict on the CPU time."""
    console = console or Console(highlight=False)
    _say(console, f"CPU time of {found.labels[1]} for 1 of {found.labels[0]}", "bold")
    rows = [(name, "cpu", *_ratio(one)) for name, one in found.clips.items()]
    rows += [("all clips", "cpu", *_ratio(found.cpu)), ("all clips", "wall", *_ratio(found.wall))]
    _table(console, ("clip", "clock", "ratio", "from", "to"), rows)
    sure = f"{100 * found.cpu.confidence:.3g} %"
    plan = found.plan
    _say(
        console,
        f"{found.cpu.rounds} rounds of fresh processes, the least of {plan.repeats} plays a clip; "
        f"each bound holds with {sure}; wall time is shown, not judged",
        "dim",
    )
    if any(_UNBOUNDED in row for row in rows):
        _say(
            console,
            "not bounded: the bound is twice the ratio or half of it, which says nothing; "
            "more rounds (--rounds, --most) bring it closer",
            "dim",
        )
    for note in found.notes:
        _say(console, f"note: {note}")
    _say(console, f"tolerance {100 * plan.tolerance:.3g} %: {_WORDS[found.state]}", "bold")


def print_self_test(found: SelfTest, console: Console | None = None) -> None:
    """Print false alarms and detections by CPU time, and beside them those by wall time."""
    console = console or Console(highlight=False)
    _say(
        console,
        f"Self-test of the clock: {found.workload}; {found.neighbours} busy neighbours",
        "bold",
    )
    rows = []
    for more, kind in ((0.0, "A/A"), (MORE, "A/A+10 %")):
        for clock in ("cpu", "wall"):
            one = found.rates(clock, more)
            right = ("false alarms", "detections")[more > 0]
            figures = (one.windows, one.broken, one.met, one.inconclusive, one.rounds)
            rows.append((kind, clock, right, *map(str, figures), f"{one.seconds:.0f}"))
    head = ("windows of", "clock", "broken are", "windows", "broken", "met", "inconclusive")
    _table(console, (*head, "rounds", "seconds"), rows)
    same, changed = found.rates("cpu", 0.0), found.rates("cpu", MORE)
    _say(
        console,
        f"false alarms {same.broken} of {same.windows}, +10 % found in {changed.broken} of "
        f"{changed.windows} ({show_share(changed.broken, changed.windows)}), "
        f"in {found.seconds:.0f} s",
    )
    words = {
        State.MET: "met",
        State.BROKEN: "broken",
        State.INCONCLUSIVE: f"inconclusive: it needs {NEEDED_WINDOWS} windows of each kind",
    }
    _say(
        console,
        f"bar (0 false alarms in {NEEDED_WINDOWS} windows or more, "
        f"{100 * NEEDED_DETECTION:.0f} % detections): {words[found.state]}",
        "bold",
    )


def print_counts(baseline: Counts, candidate: Counts, console: Console | None = None) -> None:
    """Print the instructions of both applications by stage."""
    console = console or Console(highlight=False)
    _say(console, f"Instructions of one pass of {baseline.clip}", "bold")
    rows = [
        (
            stage,
            f"{count:,}",
            f"{candidate.stages[stage]:,}",
            f"{candidate.stages[stage] / count:.4f}",
        )
        for stage, count in baseline.stages.items()
    ]
    _table(console, ("stage", baseline.label, candidate.label, "ratio"), rows, texts=1)
    _say(
        console,
        "counted by callgrind, which shows programs a processor without AVX-512: other kernels "
        "may run here than the times are of",
        "dim",
    )


def _ratio(found: Ratio) -> tuple[str, str, str]:
    low, high = (_bound(end, found.estimate) for end in (found.low, found.high))
    return f"{found.estimate:.3f}", low, high


def _bound(end: float | None, estimate: float) -> str:
    """Write a bound; one that is so far off that it says nothing is called so."""
    if end is None or not 1 / _FAR <= end / estimate <= _FAR:
        return _UNBOUNDED
    return f"{end:.3f}"


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(plain(text), style=style), soft_wrap=True)


def _table(
    console: Console,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    texts: int | None = None,
) -> None:
    """Print columns; the first ``texts`` are text, numbers go to the right."""
    texts = sum(not row.replace(".", "").isdigit() for row in rows[0]) if texts is None else texts
    shown = [tuple(map(plain, row)) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for number, row in enumerate(shown):
        cells = [
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        _say(console, "  ".join(cells).rstrip(), "" if number else "dim")
