"""From a stack trace of what was shipped to the places in the sources."""

from __future__ import annotations

import json
from pathlib import Path

from toolchain.emit import MANIFEST, MAPS
from toolchain.errors import ConfigError, InputError
from toolchain.formats.sourcemap import SourceMap, parse
from toolchain.formats.stack_trace import traced
from toolchain.ir import Kind


def trace(result: Path, text: str) -> str:
    """Return the stack trace ``text`` of an error in ``result``, with places in the sources.

    Below it stands which of the scripts that it names have no map, so that their places stay.

    Errors:
        ConfigError: ``result`` was not written by vtool, or without source maps.
        InputError: a map, or the list of them, is damaged.
    """
    named, scripts = _listed(result)
    shown = traced(text, _maps(result, named))
    lost = [script for script in scripts - named.keys() if f"/{script}:" in shown]
    return shown + "".join(f"note: {script} has no source map\n" for script in sorted(lost))


def _listed(result: Path) -> tuple[dict[str, str], set[str]]:
    """Return the maps by script, and all scripts, as the manifest lists them."""
    try:
        manifest = json.loads((result / MANIFEST).read_bytes())
        named = {str(row["script"]): str(row["map"]) for row in manifest.get("maps", [])}
        scripts = {str(row["id"]) for row in manifest.get("files", []) if row["kind"] == Kind.JS}
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
            hint="give bundle-js `sourcemap = true` in the pipeline and run vtool optimize again",
        )
    return named, scripts


def _maps(result: Path, named: dict[str, str]) -> dict[str, SourceMap]:
    try:
        return {script: parse((result / name).read_bytes()) for script, name in named.items()}
    except OSError as error:
        raise InputError(
            f"the source maps of {result} are not complete: {error.strerror}",
            hint=f"keep the folder {MAPS} with the result, or run vtool optimize again",
        ) from error
