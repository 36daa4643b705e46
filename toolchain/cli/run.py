"""``vtool run``: the harness alone; play the reference clips through the real models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.show import JsonOption, RepeatsOption, TuneOption, progress, write_json
from toolchain.ir import Tuning


def run(
    project: Annotated[str, typer.Argument(help="A folder with vtool.toml.")],
    result: Annotated[
        Path | None,
        typer.Option(
            help="Run the models of this result of `vtool optimize` instead of the project's."
        ),
    ] = None,
    repeats: RepeatsOption = None,
    scenario: Annotated[str, typer.Option(help="A file in rules/scenarios.")] = "single-turn",
    audio: Annotated[
        Path | None, typer.Option(help="Folder for the spoken answers, one wav file per turn.")
    ] = None,
    tune: TuneOption = Tuning.ONCE,
    json: JsonOption = None,
) -> None:
    """Play the reference clips through VAD, STT, LLM and TTS, measure, and judge.

    The scenarios: single-turn, conversation, soak, concurrent, and those in the project's own
    rules/scenarios.

    Exit codes: 0 every budget of speech, time and memory is met, 1 one is broken or was not
    measured, 2 the request is wrong, 3 a file is wrong, 4 a stage or vtool failed, 5 inconclusive,
    130 interrupted.

    Examples:

      vtool run fixtures/voice-app --repeats 3

      vtool run fixtures/voice-app --result build/vtool/voice-app --audio answers/

      vtool run fixtures/voice-app --tune off
    """
    from toolchain.result import require_project

    require_project(project)
    from toolchain import gate, trial
    from toolchain.render import json_report, text
    from toolchain.workspace import Workspace

    request = trial.RunRequest(project, result, scenario, repeats, audio, tune)
    with progress() as bars:
        report = trial.run(request, Workspace.open(progress=bars))
    if not write_json(json_report.write(report) if json else "", json):
        text.print_run(report)
    raise typer.Exit(gate.exit_code(report.verdicts))
