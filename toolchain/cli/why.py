"""``vtool why``: why an artifact is there, and what dropping it would save."""

from __future__ import annotations

from typing import Annotated

import typer

from toolchain.cli.show import JobsOption, JsonOption, progress, write_json


def why(
    target: Annotated[str, typer.Argument(help="What to analyze: as in `vtool analyze`.")],
    artifact: Annotated[
        str,
        typer.Argument(help="An artifact's id, or the end of one: sherpa-onnx.wasm; or a package."),
    ],
    json: JsonOption = None,
    jobs: JobsOption = 0,
) -> None:
    """Print the shortest path from a root to ARTIFACT, and its retained size.

    The retained size is its own bytes and those of everything that only it keeps alive: what
    disappears with it. Of a package, by its name or folder, that is the size of all its files and
    of all that only they keep; the path is the one to its nearest file.

    Examples:

      vtool why fixtures/voice-app sherpa-onnx.wasm

      vtool why fixtures/voice-app onnxruntime-web

      vtool why npm:livekit-client@2.23.0 dist/livekit-client.esm.mjs --json -
    """
    import json as jsonlib

    from toolchain import build
    from toolchain.render.reason import as_text
    from toolchain.tables import dump
    from toolchain.workspace import Workspace

    with progress() as bars:
        reason = build.why(target, artifact, Workspace.open(jobs=jobs, progress=bars))
    if not write_json(jsonlib.dumps(dump(reason), indent=1) if json else "", json):
        typer.echo(as_text(reason))
