"""``vtool trace``: the places in the sources that a stack trace of the result speaks of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def trace(
    result: Annotated[Path, typer.Argument(help="A folder that vtool optimize wrote.")],
    stack: Annotated[
        Path | None, typer.Argument(help="A file with the stack trace; else standard input.")
    ] = None,
) -> None:
    """Print a stack trace with places in the sources instead of places in the bundles.

    The maps lie in RESULT/source-maps, which is no part of what ships. What no map knows stays.

    Examples:

      vtool trace build/vtool/voice-app error.txt

      vtool trace build/vtool/voice-app < error.txt
    """
    from toolchain.errors import InputError
    from toolchain.tracing import trace as traced

    try:
        data = stack.read_bytes() if stack else sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(
            f"{stack} cannot be read: {error.strerror}", hint="name a file with a stack trace"
        ) from error
    typer.echo(traced(result, data.decode("utf-8", errors="replace")), nl=False)
