"""From a stack trace of what was shipped to the places in the sources."""

from __future__ import annotations

import json
from pathlib import Path

from toolchain.emit import MANIFEST, MAPS
from toolchain.errors import ConfigError, InputError
from toolchain.formats.sourcemap import SourceMap, parse
from toolchain.formats.stack_trace import traced


def trace(result: Path, text: str) -> str:
    """Return the stack trace ``text`` of an error in ``result``, with places in the sources.

    Errors:
        ConfigError: ``result`` was not written by vtool, or without source maps.
        InputError: a map, or the list of them, is damaged.
    """
    return traced(text, _maps(result))


def _maps(result: Path) -> dict[str, SourceMap]:
    try:
        rows = json.loads((result / MANIFEST).read_bytes()).get("maps", [])
        named = {str(row["script"]): str(row["map"]) for row in rows}
    except FileNotFoundError as error:
        raise ConfigError(
            f"{result} is no result of vtool optimize", hint="name the folder given with -o"
        ) from error
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{result / MANIFEST} is damaged", hint="run vtool optimize again"
        ) from error
    if not named:
        raise ConfigError(
            f"{result} has no source maps",
            hint="give bundle-js `sourcemap = true` and `candidates = ['esbuild']` in the pipeline",
        )
    try:
        return {script: parse((result / name).read_bytes()) for script, name in named.items()}
    except OSError as error:
        raise InputError(
            f"the source maps of {result} are not complete: {error.strerror}",
            hint=f"keep the folder {MAPS} with the result, or run vtool optimize again",
        ) from error
