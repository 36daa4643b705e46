"""``vtool gate``: judge a saved run against budgets; the exit code is the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.show import JsonOption, write_json


def gate(
    report: Annotated[Path, typer.Argument(help="report.json of a run, or the folder it lies in.")],
    budgets: Annotated[
        str | None,
        typer.Option(help="A pack in rules/budgets; default: the budgets the run was judged by."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Exit with 1 if any budget is broken or was not measured.

    Examples:

      vtool gate build/vtool/voice-app

      vtool gate report.json --budgets web-voice --json verdicts.json
    """
    import json as jsonlib
    from dataclasses import replace

    from toolchain import accounts, rulebook, unrunnable
    from toolchain import gate as judging
    from toolchain.errors import ConfigError
    from toolchain.render import flatten, json_report, text

    path = report / "report.json" if report.is_dir() else report
    saved = json_report.read(path)
    pack = tuple(v.budget for v in saved.verdicts)
    if budgets:
        # what the models' own tasks allow, and code that nothing runs, is no matter of a pack
        own = (*unrunnable.budgets(saved.measures), *accounts.model_budgets(saved.models))
        pack = (*rulebook.budgets(budgets, Path()), *own)
    if not pack:
        raise ConfigError(
            f"{path} was judged by no budget", hint="name a pack of them with --budgets"
        )
    judged = replace(saved, verdicts=judging.judge(saved.measures, pack))
    verdicts = {"verdicts": flatten.document(judged)["verdicts"]}
    if not write_json(jsonlib.dumps(verdicts, indent=1) if json else "", json):
        text.print_verdicts(judged)
    raise typer.Exit(judging.exit_code(judged.verdicts))
