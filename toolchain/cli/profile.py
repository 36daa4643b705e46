"""``vtool profile``: where bytes, time and memory go, and what was measured to help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.show import MOST_REPEATS, JsonOption, progress, writable, write_json

_FILES = ("profile.html", "trace.json", "profile.json")


def profile(
    project: Annotated[
        str, typer.Argument(help="A folder with vtool.toml; or any folder, archive or package.")
    ],
    result: Annotated[
        Path | None,
        typer.Option(help="Run this result of `vtool optimize` instead of the project's models."),
    ] = None,
    other: Annotated[
        Path | None,
        typer.Option(
            "--try", help="Try this result of `vtool optimize` as a change; not with --result."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for profile.html, trace.json and profile.json."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="File for the page alone.", callback=writable)
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="File for the turns, for ui.perfetto.dev.", callback=writable),
    ] = None,
    trials_seconds: Annotated[
        float, typer.Option(min=0.0, help="For trying changes, in all; 0: none is tried.")
    ] = 120.0,
    repeats: Annotated[
        int, typer.Option(min=1, max=MOST_REPEATS, help="Repeats of every turn.")
    ] = 3,
    json: JsonOption = None,
) -> None:
    """Analyze the bundle, profile a run, and recommend what was measured to help.

    A project without a voice table has only the bundle half.

    Exit codes: 0 whatever was found, as `vtool run` and `vtool gate` judge; 2 the request is
    wrong, 3 a file is wrong, 4 a stage or vtool failed, 130 interrupted.

    Examples:

      vtool profile fixtures/voice-app -o build/profile

      vtool profile fixtures/voice-app --result build/vtool/voice-app --trace turn.json

      vtool profile fixtures/voice-app --trials-seconds 0 --json - | jq .bundle_analysis

      vtool profile npm:livekit-client@2.15.7
    """
    from toolchain.emit import check_file, write_atomically
    from toolchain.profiling.profiler import ProfileRequest
    from toolchain.profiling.profiler import profile as profiled
    from toolchain.render import chrome_trace, profile_json, profile_page, profile_text
    from toolchain.workspace import Workspace

    if out is not None:
        for name in _FILES:
            check_file(out / name, makes_folders=True)
    request = ProfileRequest(project, result, other, repeats, trials_seconds)
    with progress() as bars:
        found = profiled(request, Workspace.open(progress=bars))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        html, trace = html or out / "profile.html", trace or out / "trace.json"
        write_atomically(out / "profile.json", profile_json.write(found))
    if html is not None:
        write_atomically(html, profile_page.page(found))
    if trace is not None:
        write_atomically(trace, chrome_trace.trace(found))
    if not write_json(profile_json.write(found) if json else "", json):
        profile_text.print_profile(found)
        if html is not None:
            typer.echo(f"\nprofile: {html}")
