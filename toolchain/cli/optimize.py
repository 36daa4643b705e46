"""``vtool optimize``: the main job; analyze, rewrite, prove, run, judge, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.show import (
    JobsOption,
    JsonOption,
    RepeatsOption,
    TuneOption,
    progress,
    write_json,
)
from toolchain.ir import Tuning


def optimize(
    project: Annotated[str, typer.Argument(help="A folder with vtool.toml, or one model.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for the result, replaced at once."),
    ],
    json: JsonOption = None,
    harness: Annotated[
        bool,
        typer.Option(help="Run the voice pipeline before and after. Without: not measured."),
    ] = True,
    repeats: RepeatsOption = None,
    scenario: Annotated[str, typer.Option(help="A file in rules/scenarios.")] = "single-turn",
    tune: TuneOption = Tuning.ONCE,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="For development: bundle with esbuild alone; larger, sooner."),
    ] = False,
    jobs: JobsOption = 0,
    task: Annotated[
        str | None,
        typer.Option(help="Of a model alone: vad, stt, llm, tts, embedding or unknown."),
    ] = None,
    task_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the task (docs/models.md); repeatable."),
    ] = None,
    error: Annotated[
        float | None,
        typer.Option(min=0.0, help="Of a model alone: the most its task's error may be."),
    ] = None,
    agreement: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Of a model alone: the least share of decisions kept."),
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(help="The last release, a result or its archive: adds deltas against it."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Of a model alone: file or folder that the task reads; repeatable."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Of a model alone: where it will run, of rules/targets; repeatable."),
    ] = None,
) -> None:
    """Shrink PROJECT with proved passes, run it, judge its budgets, and explain every byte.

    The folder OUT gets the optimized application, vtool-manifest.json, report.html and report.json.
    The exit code is 0 if every budget is met and 1 if one is broken or was not measured, or if the
    result holds code that no browser runs: sources whose bundle was not proved.

    PROJECT may also be one model (ONNX, ORT, GGUF). Without --task or --error nothing is lost;
    with --error 0.01 the package is the smallest whose outputs differ by 1 % at most.

    Examples:

      vtool optimize fixtures/voice-app -o build/vtool/voice-app

      vtool optimize fixtures/voice-app -o build/fast --fast --no-harness

      vtool optimize model.onnx -o out --error 0.01 --target native-cpu

      vtool optimize vad.onnx -o out --task vad --data recordings/ --task-option threshold=0.4

      vtool optimize . -o ../2.1 --previous ../2.0.tgz

      vtool optimize . -o ../out --no-harness --json - | jq '.ledger[] | select(.kept)'
    """
    from toolchain import build, gate
    from toolchain.ir import Report
    from toolchain.render import html as page
    from toolchain.render import json_report, text
    from toolchain.single_model import Wish, task_options
    from toolchain.workspace import Workspace

    def finish(report: Report, folder: Path) -> None:
        (folder / "report.json").write_text(json_report.write(report), "utf-8")
        (folder / "report.html").write_text(page.page(report), "utf-8")

    wish = Wish(
        task, error, agreement, tuple(data or ()), tuple(target or ()), task_options(task_option)
    )
    request = build.Request(
        project,
        out,
        harness=harness,
        repeats=repeats,
        scenario=scenario,
        wish=wish,
        tuning=tune,
        previous=previous,
        fast=fast,
    )
    with progress() as bars:
        report = build.optimize(request, Workspace.open(jobs=jobs, progress=bars), finish)
    if not write_json(json_report.write(report) if json else "", json):
        text.print_optimization(report)
        typer.echo(f"\nreport: {out / 'report.html'}")
    raise typer.Exit(gate.exit_code(report.verdicts))
