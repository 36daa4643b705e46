"""``vtool lock``: write vtool.lock, the exact versions and digests of all inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli.show import JsonOption, write_json


def lock(
    project: Annotated[Path, typer.Argument(help="A folder with vtool.toml.")],
    json: JsonOption = None,
) -> None:
    """Resolve the packages and inputs of PROJECT and write vtool.lock.

    Asks the registries for versions and integrity values; no address is written. Everything else
    in vtool works from the lock and, once fetched, without a network.

    Example:

      vtool lock fixtures/voice-app
    """
    import json as jsonlib

    from toolchain.sources import lock as locking
    from toolchain.sources import project as projects
    from toolchain.tables import dump

    opened = projects.load_project(project)
    typer.echo(f"resolving {len(opened.requested)} packages", err=True)
    written = locking.lock(opened)
    locking.write_lock(project, written)
    if not write_json(jsonlib.dumps(dump(written), indent=1) if json else "", json):
        typer.echo(f"{project / 'vtool.lock'}: {len(written.package)} packages")
