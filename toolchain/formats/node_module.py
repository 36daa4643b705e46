"""Loads a module in node and tells what it exports, or how it failed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolError

_TIMEOUT_SECONDS = 60.0  # ours: loading the largest bundle we know takes 0.2 s
_MARK = "vtool-module:"  # what the module itself prints comes before the line that starts so

_SCRIPT = f"""
const say = (answer) => {{
  process.stdout.write("\\n{_MARK}" + JSON.stringify(answer) + "\\n", () => process.exit(0));
}};
try {{
  const module = await import(process.argv[1]);
  const names = Object.keys(module).sort();
  say({{ exports: Object.fromEntries(names.map((name) => [name, typeof module[name]])) }});
}} catch (error) {{
  // who asked for a missing package is a bundle of ours, whose name says nothing
  say({{ error: String(error).split(" imported from ")[0] }});
}}
"""


@dataclass(frozen=True, slots=True)
class Loading:
    """What became of a module: its exports with their types, or the error it threw."""

    exports: tuple[tuple[str, str], ...]
    error: str = ""


def load_module(node: Path, module: Path, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> Loading:
    """Import ``module``, an absolute path, in a new node process.

    Errors:
        ToolError: node cannot be started.
    """
    command = [str(node), "--no-warnings", "--input-type=module", "-e", _SCRIPT, module.as_uri()]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
            check=False,
            cwd=module.parent,
            env={},
        )
    except subprocess.TimeoutExpired:
        return Loading((), f"it did not load within {timeout_seconds:g} s")
    except OSError as error:
        raise ToolError(f"node cannot be started: {error.strerror}") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines:
        return Loading((), f"node ended with exit code {done.returncode} while loading it")
    answer = json.loads(lines[-1].removeprefix(_MARK))
    if "error" in answer:
        return Loading((), answer["error"].replace(str(module.parent), "."))
    return Loading(tuple(answer["exports"].items()))
