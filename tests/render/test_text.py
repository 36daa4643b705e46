"""The terminal's report: aligned, complete at 80 columns, and safe with hostile names."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from render.reports_strategy import ROOT, reports, sample
from rich.console import Console

from toolchain.errors import ConfigError
from toolchain.ir import (
    Budget,
    Finding,
    LedgerRow,
    Measure,
    Proof,
    Report,
    SessionChoice,
    Severity,
    Stage,
    State,
    Verdict,
)
from toolchain.ir.artifact import ArtifactId
from toolchain.render import figures, markdown, text
from toolchain.units import Bytes, Seconds, show_bytes, show_quantity

GOLDENS = ROOT / "fixtures" / "reports"


class Ascii(io.StringIO):
    """A stream that says it can only carry ASCII."""

    encoding = "ascii"


def printed(
    report: Report, *sections: str, width: int = 80, file: io.StringIO | None = None
) -> str:
    """Return what ``sections`` of ``text`` print on something that is no terminal."""
    file = file or io.StringIO()
    console = Console(file=file, width=width, color_system=None, legacy_windows=False)
    for section in sections:
        getattr(text, section)(report, console)
    return file.getvalue()


def test_the_sample_prints_as_in_the_golden() -> None:
    expected = (GOLDENS / "sample.txt").read_text("utf-8")
    assert printed(sample(), "print_optimization") == expected


def test_the_sample_reads_in_markdown_as_in_the_golden() -> None:
    assert markdown.summary(sample()) == (GOLDENS / "sample.md").read_text("utf-8")


def test_nothing_in_the_sample_is_wider_than_a_terminal() -> None:
    assert [
        line for line in printed(sample(), "print_optimization").splitlines() if len(line) > 80
    ] == []


def test_a_long_name_beside_full_columns_fits_a_terminal() -> None:
    name = "quality.end_error in noise 20 dB"
    found = Measure(name, "ms", (123.4,) * 3)
    rate = Measure("llm.rate", "tokens/s", (33.3,) * 3)
    both = replace(sample(), baseline=(found, rate), measures=(found, rate))
    verdict = Budget(f"{name} of all clips there are", "ms", 500, "why", 95).judge(found)
    out = printed(replace(both, verdicts=(verdict,)), "measures_table", "verdict_table")
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert name in out
    assert "33.3 t/s" in out


def test_a_run_alone_has_no_empty_columns_and_names_no_page() -> None:
    found = (Measure("t", "ms", (1.0,)), Measure("memory.stt.encoder", "byte", (1.0,)))
    alone = replace(sample(), baseline=(), measures=found, files=())
    out = printed(alone, "measures_table")
    assert "change" not in out
    assert "before" not in out.replace("load average when measured: before", "")
    assert [line.split() for line in out.splitlines() if line.startswith("t ")] == [
        ["t", "1.00", "ms", "1.00", "ms"]
    ]
    assert "1 more" in out
    assert "report.html" not in out


def test_no_line_ends_in_spaces() -> None:
    for line in printed(sample(), "print_optimization", "turns").splitlines():
        assert line == line.rstrip()


def entry(out: str, name: str) -> str:
    """Return the row of ``name``; a name that is too long has the rest in the next line."""
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if name in line.split())
    return lines[at] if not lines[at].endswith(name) else f"{lines[at]}\n{lines[at + 1]}"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_number_and_no_measure_name_is_cut(width: int) -> None:
    report = sample()
    out = printed(report, "verdict_table", "measures_table", "ledger_table", width=width)
    for verdict in report.verdicts:
        row = entry(out, verdict.budget.measure)
        assert row.endswith(verdict.state.value)
        assert show_quantity(verdict.budget.limit, verdict.budget.unit) in row
        if verdict.observed is not None:
            assert show_quantity(verdict.observed, verdict.budget.unit) in row
    for measure in report.measures:
        assert measure.name in out.split()
        assert show_quantity(measure.percentile(95), measure.unit) in out


def test_a_long_measure_name_and_a_long_reason_are_whole() -> None:
    name = "a.measure.with.a.name." + "x" * 90
    why = "because " * 40
    verdict = Verdict(Budget(name, "ms", 123_456_789, why), 987_654_321.0, State.BROKEN)
    out = printed(replace(sample(), verdicts=(verdict,)), "verdict_table", width=80)
    row = entry(out, name)
    assert "987,654,321 ms" in row
    assert "≤ 123,456,789 ms" in row
    assert out.count("because") == 40
    reason = out[out.index(row) + len(row) :]
    assert all(len(line) <= 80 for line in reason.splitlines())


def test_bounds_and_doubt_stand_beside_what_was_observed() -> None:
    verdict = Budget("turn", "ms", 500, "why", 95).judge(Measure("turn", "ms", (440.0,) * 30))
    out = printed(replace(sample(), verdicts=(verdict,)), "verdict_table")
    row, why, doubt = out.splitlines()[3:6]
    assert " ".join(row.split()) == "~ turn 440 ms 440 .. ? ms ≤ 500 ms inconclusive"
    assert why.strip() == "why"
    assert doubt.strip() == "inconclusive: 30 samples; bounds at 95 % confidence need 59"


def test_where_nothing_is_uncertain_there_are_no_bounds() -> None:
    exact = Budget("core", "byte", 500, "why").judge(Measure("core", "byte", (440.0,)))
    out = printed(replace(sample(), verdicts=(exact,)), "verdict_table")
    assert "bounds" not in out
    assert "bounds" not in markdown.summary(replace(sample(), verdicts=(exact,)))


def test_a_change_between_two_machines_is_marked_and_refused_unless_asked_for() -> None:
    here = sample().machine
    other = replace(here, cpu="Xeon")
    before, after = Measure("t", "ms", (4.0,), other), Measure("t", "ms", (3.0,), here)
    report = replace(sample(), baseline=(before,), measures=(after,))
    with pytest.raises(ConfigError, match="two machines: cpu Xeon and AMD"):
        figures.on_one_machine(report)
    assert "%" not in printed(report, "measures_table")
    asked = replace(report, across_machines=True)
    figures.on_one_machine(asked)
    out = printed(asked, "measures_table")
    assert "≠ -25.0 %" in out
    assert "of different machines (cpu Xeon and AMD EPYC 7B13)" in " ".join(out.split())
    assert "!= -25.0 %" in printed(asked, "measures_table", file=Ascii())
    figures.on_one_machine(replace(sample(), baseline=(replace(before, machine=here),)))


def test_the_total_is_the_inputs_total_less_what_the_passes_save() -> None:
    report = sample()
    total = figures.whole(report)
    assert total.before == dict(report.totals)[Stage.INPUT].raw
    assert total.saved == sum(step.saved for step in figures.steps(report))
    assert total.saved == sum(row.saved for row in report.ledger)
    last = printed(report, "ledger_table").split("total")[1].split("\n")[0]
    assert show_bytes(total.before) in last
    assert show_bytes(total.after) in last
    assert show_bytes(total.saved) in last
    assert f"{total.held}/{total.proofs}" in last


def test_each_pass_is_one_line_in_the_order_it_ran() -> None:
    lines = printed(sample(), "ledger_table").splitlines()
    steps = [line.split()[0] for line in lines if line and not line.startswith((" ", "What"))]
    ran = list(dict.fromkeys(row.step for row in sample().ledger))
    assert steps == ["pass", *ran, "total"]


def test_a_dropped_rewrite_says_why() -> None:
    dropped = next(row for row in sample().ledger if not row.proof.holds)
    out = " ".join(printed(sample(), "ledger_table").split())
    assert f"{dropped.step} dropped {dropped.artifact}: {dropped.proof.detail}" in out


def test_what_needed_no_work_is_one_line_a_pass_and_is_not_called_dropped() -> None:
    def row(artifact: str, detail: str, *, holds: bool = True, kept: bool = False) -> LedgerRow:
        size, proof = Bytes(9), Proof("p", holds, detail)
        return LedgerRow("strip", artifact, size, size, Seconds(0), proof, kept=kept)

    idle = (row("a", "nothing to do"), row("b", "nothing to do"))
    ledger = (*idle, row("c", "odd", holds=False), row("d", "same", kept=True))
    out = printed(replace(sample(), ledger=ledger), "ledger_table")
    lines = [line.strip() for line in out.splitlines() if line.startswith("    ")]
    assert lines == ["strip dropped c: odd", "strip left 2 artifacts unchanged: nothing to do"]
    more = (*idle, *(row(n, f"{n} larger") for n in "ijk"))
    out = printed(replace(sample(), ledger=more), "ledger_table")
    assert "strip left 5 artifacts unchanged: nothing to do; i larger; and other reasons" in out


def test_the_worst_finding_comes_first_and_unknown_is_not_zero() -> None:
    def finding(check: str, severity: Severity, cost: int | None) -> Finding:
        bytes_at_stake = None if cost is None else Bytes(cost)
        return Finding(check, ArtifactId("x"), "m", "a", bytes_at_stake, severity)

    found = (
        finding("note", Severity.NOTE, 9),
        finding("small", Severity.WARNING, 1),
        finding("large", Severity.WARNING, 2000),
        finding("worst", Severity.ERROR, None),
        replace(finding("holds", Severity.WARNING, None), holds=Bytes(1000)),
    )
    report = replace(sample(), findings=found)
    order = ["worst", "large", "holds", "small", "note"]
    assert [f.check for f in figures.findings(report)] == order
    out = printed(report, "findings_table")
    assert "! warning: holds at x, cost not measured, holds 1.00 kB" in out
    assert "✗ error: worst at x, cost not measured" in out
    assert "! warning: large at x, costs 2.00 kB" in out


def test_many_findings_say_how_many_there_are() -> None:
    many = tuple(Finding(f"c{n:03}", ArtifactId("x"), "m", "a") for n in range(50))
    out = printed(replace(sample(), findings=many), "findings_table")
    assert "Findings, 20 of 50" in out
    assert "c019" in out
    assert "c020" not in out


def test_measures_of_two_machines_are_not_compared() -> None:
    here = sample().machine
    before = Measure("t", "ms", (4.0,), here)
    after = Measure("t", "ms", (3.0,), replace(here, cores=64))
    assert figures.change(before, after) is None
    assert figures.change(before, replace(after, machine=here)) == -0.25
    assert figures.change(None, after) is None
    assert figures.change(replace(before, samples=(0.0,)), replace(after, machine=here)) is None


def test_an_analysis_without_output_has_no_saving() -> None:
    report = sample()
    only = replace(
        report,
        totals=tuple(t for t in report.totals if t[0] is Stage.INPUT),
        files=tuple(f for f in report.files if f.stage is Stage.INPUT),
    )
    out = printed(only, "summary")
    assert "saved" not in out
    assert "Largest packages (input)" in out


def test_an_ascii_stream_gets_ascii_marks() -> None:
    out = printed(sample(), "verdict_table", "findings_table", file=Ascii())
    assert out.isascii()
    assert "x  memory.peak" in out
    assert "<= 512 MB" in out


@given(reports)
@settings(max_examples=60)
def test_no_name_of_an_artifact_reaches_the_terminal_as_a_command(report: Report) -> None:
    whole = printed(report, "print_analysis", "print_run", "print_optimization", width=60)
    assert all(c == "\n" or c.isprintable() for c in whole)
    assert all(c == "\n" or c.isprintable() for c in text.as_plain_text(report))


def test_markup_in_a_name_is_shown_not_obeyed() -> None:
    bold = Finding("c", ArtifactId("[bold]x[/bold]"), "[red]m[/red]", ":smile:")
    out = printed(replace(sample(), findings=(bold,)), "findings_table")
    assert "[bold]x[/bold]" in out
    assert "[red]m[/red]; :smile:" in out


@given(reports)
@settings(max_examples=60)
def test_a_markdown_table_row_stays_a_row_whatever_the_names(report: Report) -> None:
    lines = markdown.summary(report).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    bounded = any(v.interval for v in report.verdicts)
    for number, row in enumerate(rows):
        bare = row.replace("\\\\", "").replace("\\|", "")
        wide = bounded and number <= len(report.verdicts)
        assert bare.count("|") == (8 if wide else 7), row
    headings = bool(report.verdicts) + bool(report.ledger)
    ledger = len(figures.steps(report)) + 1 if report.ledger else 0
    assert len(rows) == headings + len(report.verdicts) + ledger


def test_markdown_mentions_nobody_and_links_nowhere() -> None:
    shown = markdown.escape("@runanywhere/web <img src=x> [a](b) https://x.example `code`")
    assert "@r" not in shown
    assert "://" not in shown
    assert "\\<img" in shown
    assert "\\[a\\]" in shown
    assert "\\`code\\`" in shown


def test_session_options_fit_a_terminal_and_say_what_was_chosen() -> None:
    chosen = SessionChoice(
        "models/moonshine/decoder_model_merged.vtm",
        "stt",
        "1 thread",
        "1 thread, mapped",
        "0.99 times the CPU time",
        "the same bits",
        run_ms=(71.1, 73.5),
        load_ms=(170.2, 103.4),
        most=(97_200_000, 92_300_000),
    )
    usual = replace(chosen, artifact="models/x.onnx", chosen="1 thread", why="nothing gained")
    unknown = replace(usual, artifact="models/y.onnx", run_ms=None, load_ms=None, most=None)
    found = replace(sample(), sessions=(chosen, usual, unknown))
    lines = printed(found, "sessions_table").splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any(line.split() == DECODER_ROW for line in lines)
    assert any(line.split() == ["x.onnx", "71.1", "170", "97.2"] for line in lines)
    assert any(line.split() == ["y.onnx", "-", "-", "-"] for line in lines)
    said = " ".join(" ".join(lines).split())
    assert (
        "decoder_model_merged.vtm: 1 thread, mapped; 0.99 times the CPU time; the same bits" in said
    )
    assert "models/x.onnx: 1 thread, unchanged; nothing gained" in said


DECODER_ROW = [
    "decoder_model_merged.vtm",
    "71.1",
    "->",
    "73.5",
    "170",
    "->",
    "103",
    "97.2",
    "->",
    "92.3",
]
