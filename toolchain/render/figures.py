"""Figures that several renderers show and the report leaves to be computed where shown."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from toolchain.errors import ConfigError
from toolchain.ir import (
    Finding,
    LedgerRow,
    Measure,
    Report,
    SessionChoice,
    Severity,
    Sizes,
    Stage,
)
from toolchain.units import Bytes, Seconds

_CODE = (
    "core, code: what loads in production; .raw uncompressed, .brotli and .lazy in brotli as it "
    "ships; TypeScript before as it lies there"
)
NO_SIZES = Sizes(Bytes(0), Bytes(0), Bytes(0), Bytes(0))
_SEVERITIES = tuple(Severity)  # the worst first


@dataclass(frozen=True, slots=True)
class StepTotal:
    """All rows of one run of a pass. ``held`` of ``proofs`` hold; the other results were dropped.

    A pass over the whole graph has one proof for all its rows, and where there was nothing to do
    nothing was proved: so proofs are counted by what they say, not by rows.
    ``unchanged`` artifacts stayed as they were although nothing failed: there was nothing to do.
    """

    step: str
    rows: int
    before: Bytes
    after: Bytes
    seconds: Seconds
    proofs: int
    held: int
    unchanged: int
    cached: int

    @property
    def saved(self) -> Bytes:
        """Delivered bytes saved; negative where a pass pays in bytes for something else."""
        return Bytes(self.before - self.after)


def steps(report: Report) -> list[StepTotal]:
    """Return the ledger by run of a pass, in the order they ran: a pass may run more than once."""
    return [_total(rows[0].step, rows) for rows in runs(report)]


def runs(report: Report) -> list[list[LedgerRow]]:
    """Return the rows of each run of a pass.

    A run ends where another pass begins, or where an artifact comes again.
    """
    found: list[list[LedgerRow]] = []
    seen: set[str] = set()
    for row in report.ledger:
        if not found or found[-1][0].step != row.step or row.artifact in seen:
            found.append([])
            seen = set()
        found[-1].append(row)
        seen.add(row.artifact)
    return found


def whole(report: Report) -> StepTotal:
    """Return the ledger as one row, from all input bytes to all delivered bytes.

    ``before`` is the input's total, so ``after`` is what a user downloads, each file once in its
    smallest encoding.
    """
    total = _total("total", report.ledger)
    before = sizes(report, Stage.INPUT).raw
    after = Bytes(before - total.saved)
    return StepTotal(
        "total",
        total.rows,
        before,
        after,
        total.seconds,
        total.proofs,
        total.held,
        total.unchanged,
        total.cached,
    )


def is_unchanged(row: LedgerRow) -> bool:
    """Whether an artifact stayed as it was, and no proof failed: there was nothing to do."""
    return row.proof.holds and not row.kept


def _total(step: str, rows: Iterable[LedgerRow]) -> StepTotal:
    rows = tuple(rows)
    proofs = {
        (r.step, r.proof.name, r.proof.detail, r.proof.holds) for r in rows if not is_unchanged(r)
    }
    return StepTotal(
        step,
        len(rows),
        Bytes(sum(r.before for r in rows)),
        Bytes(sum(r.after for r in rows)),
        Seconds(sum(r.seconds for r in rows)),
        len(proofs),
        sum(holds for _, _, _, holds in proofs),
        sum(is_unchanged(r) for r in rows),
        sum(r.cached for r in rows),
    )


def sizes(report: Report, stage: Stage) -> Sizes:
    """Return the total of ``stage``; zeros where the report has none."""
    return dict(report.totals).get(stage, NO_SIZES)


def last_stage(report: Report) -> Stage:
    """Return the stage a reader cares about: the output, where there is one."""
    return Stage.OUTPUT if Stage.OUTPUT in dict(report.totals) else Stage.INPUT


def packages(report: Report, stage: Stage) -> list[tuple[str, Sizes]]:
    """Return the packages of ``stage`` with the sum of their files' sizes, the largest first."""
    found: dict[str, Sizes] = {}
    for row in report.files:
        if row.stage is stage:
            found[row.package] = found.get(row.package, NO_SIZES) + row.sizes
    return sorted(found.items(), key=lambda item: (-item[1].raw, item[0]))


def largest(report: Report, stage: Stage) -> list[tuple[str, Sizes]]:
    """Return the files of ``stage`` with their sizes, the largest first."""
    found = [(row.id, row.sizes) for row in report.files if row.stage is stage]
    return sorted(found, key=lambda item: (-item[1].raw, item[0]))


def findings(report: Report) -> list[Finding]:
    """Return the findings, the worst first, then what costs or holds most."""
    return sorted(
        report.findings,
        key=lambda f: (_SEVERITIES.index(f.severity), -(f.cost or f.holds), f.check, f.where),
    )


def on_one_machine(report: Report) -> None:
    """Refuse a report that would compare what different machines measured, unless it is asked to.

    Errors:
        ConfigError: names the first measure, and in what the machines differ.
    """
    for _, before, after in pairs(report):
        if before is not None and after is not None and before.unit == after.unit:
            before.comparable(after, across_machines=report.across_machines)


def conditions(report: Report) -> list[str]:
    """Return what a reader of the measures must know: of what they are, where and when taken."""
    found = []
    if any(m.name.startswith("core.") for m in (*report.baseline, *report.measures)):
        found.append(_CODE)
    both = (("before", report.baseline), ("after", report.measures))
    loads = {
        when: sorted({m.machine.load for m in taken if m.machine and m.machine.load is not None})
        for when, taken in both
    }
    shown = [f"{when} {_span(values)}" for when, values in loads.items() if values]
    if shown:
        found.append(
            f"load average when measured: {', '.join(shown)}, on {report.machine.cores} cores"
        )
    others = {
        what
        for _, before, after in pairs(report)
        if before is not None and after is not None
        for what in before.differences(after)
    }
    if others and report.across_machines:
        found.append(
            f"≠: before and after are of different machines ({'; '.join(sorted(others))}); "
            "a change may be theirs"
        )
    return found


def _span(values: list[float]) -> str:
    low, high = f"{values[0]:.2f}", f"{values[-1]:.2f}"
    return low if low == high else f"{low} to {high}"


def pairs(report: Report) -> list[tuple[str, Measure | None, Measure | None]]:
    """Return each measure's name with the measure before and after, in the order they appear."""
    before = {m.name: m for m in report.baseline if m.samples}
    after = {m.name: m for m in report.measures if m.samples}
    return [(name, before.get(name), after.get(name)) for name in {**after, **before}]


def is_detail(name: str) -> bool:
    """Whether a measure is of one model's memory: for the page, too much for a terminal.

    >>> is_detail("memory.stt.encoder"), is_detail("memory.stt"), is_detail("quality.wer")
    (True, False, False)
    """
    return name.startswith("memory.") and name.count(".") > 1


def change(
    before: Measure | None, after: Measure | None, *, across_machines: bool = False
) -> float | None:
    """Return by which share of ``before`` the median changed; None where that is not known.

    Measures of different units are not compared, and those of different machines only where that
    was asked for.

    >>> change(Measure("t", "ms", (4.0,)), Measure("t", "ms", (3.0,)))
    -0.25
    """
    if before is None or after is None:
        return None
    try:
        before.comparable(after, across_machines=across_machines)
    except ConfigError:
        return None
    start = before.percentile(50)
    share = (after.percentile(50) - start) / start if start else math.inf
    return share if math.isfinite(share) else None


SESSIONS_HEAD = ("model", "runs, ms", "opening, ms", "stage at most, MB")


def sessions(report: Report) -> list[tuple[str, ...]]:
    """Return the rows of a table of session options: "usual -> chosen", or the usual alone."""

    def both(one: SessionChoice, pair: tuple[float, float] | None, per_unit: float = 1) -> str:
        if pair is None:
            return "-"
        before, after = (f"{value / per_unit:.3g}" for value in pair)
        return f"{before} -> {after}" if one.changed else before

    return [
        (
            PurePosixPath(one.artifact).name,
            both(one, one.run_ms),
            both(one, one.load_ms),
            both(one, one.most, 1e6),
        )
        for one in report.sessions
    ]
