"""``vtool report``: a saved run in another format."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.show import JsonOption, writable, write_json


class Format(StrEnum):
    """What a report can be rendered as."""

    HTML = "html"
    MARKDOWN = "markdown"
    TEXT = "text"


def report(
    saved: Annotated[Path, typer.Argument(help="report.json of a run, or the folder it lies in.")],
    form: Annotated[Format, typer.Option("--format", "-f", help="What to render.")] = Format.TEXT,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File; default: print.", callback=writable)
    ] = None,
    across_machines: Annotated[
        bool,
        typer.Option(
            "--across-machines",
            help="Compare before and after although two machines measured them; marked with ≠.",
        ),
    ] = False,
    json: JsonOption = None,
) -> None:
    """Render a saved run as HTML, Markdown or text.

    A report whose before and after were measured on different machines is refused (exit code 2),
    unless --across-machines asks for it.

    Examples:

      vtool report build/vtool/voice-app -f markdown >> "$GITHUB_STEP_SUMMARY"

      vtool report report.json -f html -o size.html
    """
    from dataclasses import replace

    from toolchain.emit import write_atomically
    from toolchain.render import figures, html, json_report, markdown, text

    document = json_report.read(saved / "report.json" if saved.is_dir() else saved)
    document = replace(document, across_machines=across_machines or document.across_machines)
    figures.on_one_machine(document)
    write_json(json_report.write(document) if json else "", json)
    if json and out is None:
        return
    if form is Format.TEXT and out is None:
        text.print_optimization(document)
        return
    renderers = {
        Format.HTML: html.page,
        Format.MARKDOWN: markdown.summary,
        Format.TEXT: text.as_plain_text,
    }
    rendered = renderers[form](document)
    if out is None:
        typer.echo(rendered)
    else:
        write_atomically(out, rendered)
        if json != "-":  # then nothing else is printed there
            typer.echo(f"{form.value}: {out}")
