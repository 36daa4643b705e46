"""Prints a report in a terminal, or as plain lines in a log; nothing is cut off at 80 columns."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from toolchain.ir import LedgerRow, Measure, Report, Severity, Sizes, Stage
from toolchain.render import figures
from toolchain.render.figures import StepTotal
from toolchain.render.terminal import grid, mark, paragraph, plain, title, wrapped
from toolchain.render.verdict_text import verdict_table
from toolchain.units import show_bytes, show_quantity, show_share

# shape and word say the severity too: colour alone is lost on many people and in every log
_SEVERITIES = {
    Severity.ERROR: ("✗", "x", "bold red"),
    Severity.WARNING: ("!", "!", "yellow"),
    Severity.NOTE: ("·", "-", "dim"),
}
_LARGEST = 8  # rows of packages and files: what fits on one screen with the rest
_REASONS = 2  # why a pass left artifacts alone: there are few reasons, except for numbers in them
_FINDINGS = 20  # more belong in the page, where they can be filtered


def print_analysis(report: Report, console: Console | None = None) -> None:
    """Print what ``vtool analyze`` found: sizes and findings."""
    _print(report, console, summary, findings_table, notes)


def print_run(report: Report, console: Console | None = None) -> None:
    """Print what ``vtool run`` measured; the verdicts come last."""
    _print(report, console, turns, sessions_table, measures_table, notes, verdict_table)


def print_optimization(report: Report, console: Console | None = None) -> None:
    """Print what ``vtool optimize`` did; the verdicts come last, where the eye is."""
    _print(
        report,
        console,
        summary,
        findings_table,
        ledger_table,
        models_table,
        sessions_table,
        measures_table,
        notes,
        verdict_table,
    )


def print_verdicts(report: Report, console: Console | None = None) -> None:
    """Print the verdict table alone."""
    _print(report, console, verdict_table)


def as_plain_text(report: Report) -> str:
    """Return what ``print_optimization`` prints, without colour, for a file."""
    console = Console(file=io.StringIO(), width=100, color_system=None, legacy_windows=False)
    print_optimization(report, console)
    return console.file.getvalue() if isinstance(console.file, io.StringIO) else ""


def summary(report: Report, console: Console) -> None:
    """Print the totals of each stage, and the largest packages and files of the last one."""
    rows = [(stage.value, *_sizes(sizes)) for stage, sizes in report.totals]
    before, after = (figures.sizes(report, stage) for stage in Stage)
    if len(rows) > 1:
        rows.append(("saved", *_shares(before, after)))
    title(console, f"Size of {plain(report.target)}")
    grid(console, ("", "raw", "gzip", "brotli", "zstd"), rows, numbers=range(1, 5))
    edges = ", ".join(f"{count:,} {plain(relation)}" for relation, count in report.relations)
    files = sum(row.stage is Stage.INPUT for row in report.files)
    owners = sum(row.stage is Stage.INPUT for row in report.artifacts)
    wrapped(console, Text(f"graph: {files:,} files, {owners:,} owners; edges: {edges or 'none'}"))
    levels = "; ".join(plain(f"{codec} {level}") for codec, level in report.codecs)
    wrapped(console, Text(f"compressed sizes compare at these levels: {levels}"))
    stage = figures.last_stage(report)
    for of, found in (
        ("Largest packages", figures.packages(report, stage)),
        ("Largest files", figures.largest(report, stage)),
    ):
        shown = [(*_sizes(sizes), plain(name)) for name, sizes in found[:_LARGEST]]
        if shown:
            title(console, f"{of} ({stage.value}), {len(shown)} of {len(found):,}")
            grid(console, ("raw", "gzip", "brotli", "zstd", "name"), shown, numbers=range(4))


def ledger_table(report: Report, console: Console) -> None:
    """Print one line a pass, and a total that is the input's total less what the lines save."""
    if not report.ledger:
        return
    title(console, "What changed, in delivered bytes (the input as it lies there, uncompressed)")
    head = ("pass", "artifacts", "before", "after", "saved", "seconds", "proofs")
    rows = [_step(step) for step in figures.steps(report)]
    grid(console, head, [*rows, _step(figures.whole(report))], numbers=range(1, 7), total=True)
    for row in report.ledger:
        if not row.proof.holds:
            paragraph(
                console,
                f"{plain(row.step)} dropped {plain(row.artifact)}: {plain(row.proof.detail)}",
            )
    for run in figures.runs(report):
        if why := Counter(r.proof.detail for r in run if figures.is_unchanged(r)):
            paragraph(console, f"{plain(run[0].step)} left {_unchanged(why)}")
    for row in report.ledger:
        if len(row.candidates) > 1:
            _candidates(row, console)


def _candidates(row: LedgerRow, console: Console) -> None:
    """Print what became of each candidate of a pass: the smallest first."""
    title(console, f"Candidates of {plain(row.step)}: the smallest that is proved is kept")
    rows = [
        (
            "-" if one.size is None else f"{one.size:,}",
            f"{one.seconds:.2f}",
            plain(one.name),
            plain(f"{one.fate.value}: {one.detail}" if one.detail else one.fate.value),
        )
        for one in row.candidates
    ]
    grid(console, ("brotli", "seconds", "candidate", "outcome"), rows, numbers=range(2))


def findings_table(report: Report, console: Console) -> None:
    """Print the worst findings: check, place, measured cost, message, advice."""
    found = figures.findings(report)
    if not found:
        return
    title(console, f"Findings, {min(len(found), _FINDINGS)} of {len(found):,}")
    for finding in found[:_FINDINGS]:
        sign, style = mark(console, _SEVERITIES[finding.severity])
        line = Text(f"{sign} {finding.severity.value}: {plain(finding.check)}", style=style)
        cost = "cost not measured" if finding.cost is None else f"costs {show_bytes(finding.cost)}"
        cost += f", holds {show_bytes(finding.holds)}" if finding.holds else ""
        line.append(f" at {plain(finding.where)}, {cost}", style="default not bold not dim")
        wrapped(console, line)
        paragraph(console, f"{plain(finding.message)}; {plain(finding.advice)}")


def models_table(report: Report, console: Console) -> None:
    """Print each model that travels as a package: its bytes, and its task's error and agreement."""
    if not report.models:
        return
    title(console, "Models as they are downloaded; errors on the confirmation data")
    head = ("before", "after", "error", "limit", "same", "limit", "task", "model")
    rows = [
        (
            show_bytes(m.before),
            show_bytes(m.after),
            f"{m.error:.3g}",
            "-" if m.error_limit is None else f"{m.error_limit:.3g}",
            f"{m.agreement:.2%}",
            "-" if m.agreement_limit is None else f"{m.agreement_limit:.2%}",
            plain(m.family),
            plain(m.artifact),
        )
        for m in report.models
    ]
    grid(console, head, rows, numbers=range(6))
    for model in report.models:
        for one in model.executions:
            if one.chosen and one.latency_ms is not None:
                paragraph(
                    console,
                    f"{plain(model.artifact)} on {plain(one.target)}: {plain(one.format)}, "
                    f"{plain(one.setting)}, "
                    f"{show_quantity(one.latency_ms, 'ms')} a call",
                )


def sessions_table(report: Report, console: Console) -> None:
    """Print how each model is opened on this machine, and what that gained."""
    if not report.sessions:
        return
    title(console, "Session options on this machine: usual -> chosen, medians of fresh processes")
    rows = [tuple(map(plain, row)) for row in figures.sessions(report)]
    grid(console, figures.SESSIONS_HEAD, rows, numbers=range(1, 4))
    for one in report.sessions:
        chosen = one.chosen if one.changed else f"{one.usual}, unchanged"
        words = "; ".join(filter(None, (chosen, one.why, one.bits)))
        paragraph(console, f"{plain(one.artifact)}: {plain(words)}")


def measures_table(report: Report, console: Console) -> None:
    """Print each measure's median and 95th percentile, before and after; of single models none."""
    other = report.across_machines
    every = figures.pairs(report)
    shown = [pair for pair in every if not figures.is_detail(pair[0])]
    rows: list[tuple[str, ...]] = [
        (
            plain(name),
            *_statistics(before),
            *_statistics(after),
            _change(console, before, after, across_machines=other),
        )
        for name, before, after in shown
    ]
    if rows:
        title(console, "Measures: medians and 95th percentiles")
        for line in figures.conditions(report):
            paragraph(console, plain(line))
        if report.baseline:
            head: tuple[str, ...] = ("measure", "before", "p95", "after", "p95", "change")
        else:  # nothing to compare with
            head, rows = ("measure", "p50", "p95"), [(row[0], *row[3:5]) for row in rows]
        grid(console, head, rows, numbers=range(1, len(head)))
        if hidden := len(every) - len(shown):
            where = "report.html, --json" if report.files else "--json has them"
            paragraph(console, f"{hidden} more, of each model's memory: {where}")


def turns(report: Report, console: Console) -> None:
    """Print what was said and answered in each turn."""
    for clip, texts in report.turns:
        title(console, f"Turn {plain(clip)}")
        for name, text in texts:
            paragraph(console, f"{plain(name)}: {plain(text)}")


def notes(report: Report, console: Console) -> None:
    """Print what else a reader must know."""
    for note in report.notes:
        wrapped(console, Text(f"note: {plain(note)}"))


def _print(
    report: Report, console: Console | None, *sections: Callable[[Report, Console], None]
) -> None:
    console = console or Console(highlight=False)
    for section in sections:
        section(report, console)


def _sizes(sizes: Sizes) -> tuple[str, str, str, str]:
    return (
        show_bytes(sizes.raw),
        show_bytes(sizes.gzip),
        show_bytes(sizes.brotli),
        show_bytes(sizes.zstd),
    )


def _shares(before: Sizes, after: Sizes) -> tuple[str, str, str, str]:
    return (
        show_share(before.raw - after.raw, before.raw),
        show_share(before.gzip - after.gzip, before.gzip),
        show_share(before.brotli - after.brotli, before.brotli),
        show_share(before.zstd - after.zstd, before.zstd),
    )


def _step(step: StepTotal) -> tuple[str, ...]:
    return (
        plain(step.step),
        f"{step.rows:,}",
        show_bytes(step.before),
        show_bytes(step.after),
        show_bytes(step.saved),
        f"{step.seconds:.2f}",
        f"{step.held}/{step.proofs}",
    )


def _unchanged(reasons: Counter[str]) -> str:
    """Say how many artifacts a pass left alone, with the most frequent reasons."""
    count = reasons.total()
    shown = "; ".join(plain(reason) for reason, _ in reasons.most_common(_REASONS))
    more = "; and other reasons" if len(reasons) > _REASONS else ""
    return f"{count:,} artifact{'' if count == 1 else 's'} unchanged: {shown}{more}"


def _statistics(measure: Measure | None) -> tuple[str, str]:
    if measure is None:
        return "-", "-"
    low, high = (show_quantity(measure.percentile(p), measure.unit) for p in (50, 95))
    return low, high


def _change(
    console: Console, before: Measure | None, after: Measure | None, *, across_machines: bool
) -> str:
    share = figures.change(before, after, across_machines=across_machines)
    if share is None or before is None or after is None:
        return "-"
    sign = ("!= " if console.options.ascii_only else "≠ ") if before.differences(after) else ""
    return f"{sign}{100 * share:+.1f} %"
