"""Prints verdicts in a terminal: each budget, what was observed, and whether it holds."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from toolchain.ir import Report, State, Verdict
from toolchain.render.terminal import fitted, mark, paragraph, plain, title
from toolchain.units import show_quantity, show_range

# shape and word say the state too: colour alone is lost on many people and in every log
_STATES = {
    State.MET: ("✓", "+", "cyan"),
    State.BROKEN: ("✗", "x", "bold red"),
    State.INCONCLUSIVE: ("~", "~", "yellow"),
    State.NOT_MEASURED: ("?", "?", "bold red"),
}


def verdict_table(report: Report, console: Console) -> None:
    """Print each budget: mark, measure, observed, limit, verdict, and the reason below.

    Where a wall time was judged, also the bounds between which its percentile lies.
    """
    if not report.verdicts:
        return
    title(console, "Verdicts")
    bounded = any(verdict.interval for verdict in report.verdicts)
    head = ("", "measure", "observed", *(["bounds"] if bounded else []), "limit", "verdict")
    rows = [_verdict(verdict, console, bounded=bounded) for verdict in report.verdicts]
    columns = fitted([head, *rows], range(2, len(head) - 1), console.width)
    console.print(Text("\n".join(columns.lines(head)), style="dim"), soft_wrap=True)
    for verdict, row in zip(report.verdicts, rows, strict=True):
        _, style = mark(console, _STATES[verdict.state])
        shown = Text("\n".join(columns.lines(row)))
        shown.stylize(style, 0, len(row[0]))
        shown.stylize(style, len(shown) - len(row[-1]))
        console.print(shown, soft_wrap=True)
        paragraph(console, plain(verdict.budget.why))
        if verdict.doubt:
            paragraph(console, f"inconclusive: {plain(verdict.doubt)}")


def _verdict(verdict: Verdict, console: Console, *, bounded: bool) -> tuple[str, ...]:
    budget = verdict.budget
    sign, _ = mark(console, _STATES[verdict.state])
    signs = (">=", "<=") if console.options.ascii_only else ("≥", "≤")
    observed = "-" if verdict.observed is None else show_quantity(verdict.observed, budget.unit)
    limit = (
        f"{signs[0] if budget.at_least else signs[1]} {show_quantity(budget.limit, budget.unit)}"
    )
    found = verdict.interval
    bounds = show_range(found.low, found.high, budget.unit) if found else ""
    between = (bounds,) if bounded else ()
    return sign, plain(budget.measure), observed, *between, limit, verdict.state.value
