"""``vtool analyze``: what a target holds, how large it is, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.show import JobsOption, JsonOption, progress, writable, write_json


def analyze(
    target: Annotated[
        str,
        typer.Argument(
            help="A folder, an archive, a file, npm:name@1.2.3, pypi:name==1.2.3, or a project."
        ),
    ],
    json: JsonOption = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the report as one HTML page.", callback=writable),
    ] = None,
    consumer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Judge a library from the side of this script, which imports it; repeatable.",
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A condition of package.json's exports that holds (node, browser); repeatable.",
        ),
    ] = None,
    jobs: JobsOption = 0,
) -> None:
    """Print the graph, the sizes (raw, gzip, brotli, zstd) and the findings of TARGET.

    Examples:

      vtool analyze npm:livekit-client@2.23.0

      vtool analyze fixtures/voice-app --json - | jq .totals

      vtool analyze dist/ --html size.html

      vtool analyze packages/sdk --consumer examples/app.js --condition node
    """
    from toolchain import build
    from toolchain.consumers import View
    from toolchain.emit import write_atomically
    from toolchain.render import html as page
    from toolchain.render import json_report, text
    from toolchain.workspace import Workspace

    with progress() as bars:
        view = View(tuple(consumer or ()), tuple(condition or ()))
        report = build.analyze(target, Workspace.open(jobs=jobs, progress=bars), view)
    if html is not None:
        write_atomically(html, page.page(report))
    if not write_json(json_report.write(report) if json else "", json):
        text.print_analysis(report)
