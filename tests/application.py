"""The reference application's real files and its [voice] table, for the tests that run models."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import real

from toolchain.passes.import_gguf import ImportGguf

_TOML = Path(__file__).parents[1] / "fixtures" / "voice-app" / "vtool.toml"


def voice() -> dict[str, Any]:
    """Return a fresh copy of the table, free to be changed."""
    table: dict[str, Any] = tomllib.loads(_TOML.read_text("utf-8"))["voice"]
    return table


@cache
def _inputs() -> dict[str, Path]:
    """Return models and clips by their names in the project."""
    found = {}
    for row in tomllib.loads(_TOML.read_text("utf-8"))["input"]:
        if not row["path"].startswith(("models", "audio")):
            continue
        if not row["member"].endswith("/"):
            found[row["path"]] = real.file(row["from"], row["member"])
            continue
        for path in (real.folder(row["from"]) / row["member"]).iterdir():
            found[f"{row['path']}/{path.name}"] = path
    return found


def files(folder: Path) -> dict[str, Path]:
    """Return all files, the language model imported from GGUF into ``folder`` (once)."""
    imported = folder / "smollm2.onnx"
    if not imported.exists():
        imported.write_bytes(ImportGguf().rewrite(_inputs()["models/smollm2.gguf"].read_bytes()))
    return {**_inputs(), "models/smollm2.gguf": imported}


def unoptimized() -> dict[str, Path]:
    """Return all files as they come."""
    return dict(_inputs())
