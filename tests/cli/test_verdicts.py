"""Saved runs at the command line: doubt is exit code 5, another machine is refused, old is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cli.project import vtool
from render.reports_strategy import sample

from toolchain.ir import Budget, Measure, Report
from toolchain.render import json_report

BUDGET = Budget("turn", "ms", 500, "why", 95)


def saved(folder: Path, report: Report) -> Path:
    path = folder / "report.json"
    path.write_text(json_report.write(report), "utf-8")
    return path


def judged(*samples: float, looks: int = 1) -> Report:
    taken = Measure("turn", "ms", samples, sample().machine, looks=looks)
    return replace(
        sample(), measures=(taken,), baseline=(), verdicts=(BUDGET.judge(taken),), notes=()
    )


@pytest.mark.parametrize(
    ("samples", "looks", "code", "words"),
    [
        ((100.0,) * 59, 1, 0, "100 .. 100 ms"),
        ((100.0,) * 59, 3, 5, "59 samples; bounds at 98.3 % confidence need 80"),
        ((100.0,) * 30, 1, 5, "30 samples; bounds at 95 % confidence need 59"),
        ((900.0,) * 30, 1, 1, "900 .. ? ms"),
    ],
    ids=["met", "three looks", "few", "broken"],
)
def test_the_gate_says_what_is_certain(
    tmp_path: Path, samples: tuple[float, ...], looks: int, code: int, words: str
) -> None:
    ran = vtool("gate", saved(tmp_path, judged(*samples, looks=looks)))
    assert ran.code == code, ran.err
    assert words in ran.out


def test_a_gate_judges_a_report_of_an_older_version_anew(tmp_path: Path) -> None:
    path = saved(tmp_path, judged(*[100.0] * 30))
    document = json.loads(path.read_text("utf-8"))
    for key in ("governor", "limits"):
        del document["machine"][key]
    for row in document["verdicts"]:
        del row["interval"]
        row["state"] = "met"  # as they were judged once: by the observed percentile alone
    path.write_text(json.dumps(document), "utf-8")
    ran = vtool("gate", path, "--json", "-")
    assert ran.code == 5
    [verdict] = json.loads(ran.out)["verdicts"]
    assert verdict["state"] == "inconclusive"
    assert verdict["interval"]["needed"] == 59


def test_two_machines_are_compared_only_where_that_is_asked_for(tmp_path: Path) -> None:
    here = sample().machine
    there = replace(here, cpu="Xeon")
    report = replace(
        judged(100.0), baseline=(Measure("turn", "ms", (200.0,), there),), measures=(
            Measure("turn", "ms", (100.0,), replace(here, load=9.0)),
        ),
    )  # fmt: skip
    path = saved(tmp_path, report)
    vtool("report", path).refuses(
        2, "two machines: cpu Xeon and AMD EPYC 7B13", "--across-machines"
    )
    vtool("report", path, "-f", "html", "-o", tmp_path / "page.html").refuses(2, "two machines")
    asked = vtool("report", path, "--across-machines")
    assert asked.code == 0
    assert "≠ -50.0 %" in asked.out
    page = tmp_path / "page.html"
    assert vtool("report", path, "--across-machines", "-f", "html", "-o", page).code == 0
    assert '"across_machines":true' in page.read_text("utf-8")
    busy = replace(report, baseline=(replace(report.measures[0], machine=here),))
    assert vtool("report", saved(tmp_path, busy)).code == 0


def test_a_document_of_bench_has_been_judged_and_a_report_says_where_it_went(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"schema": "urn:vtool:bench:1"}), "utf-8")
    vtool("gate", path).refuses(3, "bench.json", "`vtool bench`")
    page = tmp_path / "page.html"
    ran = vtool("report", saved(tmp_path, judged(100.0)), "-f", "html", "-o", page)
    assert (ran.code, ran.out) == (0, f"html: {page}\n")


def test_a_name_with_a_slip_is_answered_with_its_nearest_alone() -> None:
    ran = vtool("explain", "strip-elff")
    ran.refuses(2, "strip-elff", "strip-elf")
    assert "compress" not in ran.err
