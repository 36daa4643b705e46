"""Loads a module in node and tells what it exports, or how it failed."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from toolchain.errors import ToolError

_TIMEOUT_SECONDS = 20.0  # ours: loading the largest bundle we know takes 0.2 s
_UNSETTLED = 13  # node's exit code when nothing is left to do and the top level still waits
_MARK = "vtool-module:"  # what the module itself prints comes before the line that starts so
_OURS = "vtool-"  # what our temporary folders are called

_SCRIPT = Path(__file__).with_suffix(".mjs")


@dataclass(frozen=True, slots=True)
class Loading:
    """What became of a module: its exports with their types, or the error it threw.

    ``said`` is what it wrote to the console; of objects only that they were. ``changed`` names the
    globals that are new or gone, and the members of built-in classes that are not what they were.
    """

    exports: tuple[tuple[str, str], ...]
    error: str = ""
    said: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def load_module(
    node: Path, module: Path, *, root: Path | None = None, timeout_seconds: float | None = None
) -> Loading:
    """Import ``module``, an absolute path, in a new node process; 20 s are its limit.

    ``root`` is the folder that the program was laid out in, if not the module's own.

    Errors:
        ToolError: node cannot be started.
    """
    limit_s = _TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
    root = root or module.parent
    code = _SCRIPT.read_text("utf-8")
    command = [str(node), "--no-warnings", "--input-type=module", "-e", code, module.as_uri()]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit_s,
            check=False,
            cwd=root,
            env={},
        )
    except subprocess.TimeoutExpired:
        return Loading((), f"it did not load within {limit_s:g} s")
    except OSError as error:
        raise ToolError(f"node cannot be started: {error.strerror}") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines and done.returncode == _UNSETTLED:
        return Loading((), "its top level waits for ever: nothing settles what it awaits")
    if not lines:
        return Loading((), f"node ended with exit code {done.returncode} while loading it")
    answer = json.loads(lines[-1].removeprefix(_MARK))
    said = tuple(_placeless(line, root) for line in answer["said"])
    exports = tuple(answer.get("exports", {}).items())
    failure = " ".join(_placeless(answer.get("error", ""), root).split())
    return Loading(exports, failure, said, tuple(answer["changed"]))


def _placeless(text: str, root: Path) -> str:
    """Return ``text`` without paths of this machine: ``root``, where the modules lie, is ``.``.

    So is the temporary folder that ``root`` lies in, of which node may speak as well.
    """
    above = [folder for folder in root.parents if folder.name.startswith(_OURS)]
    for folder in (root, *above):
        ways = "|".join(sorted({re.escape(str(folder)), re.escape(quote(str(folder)))}))
        text = re.sub(f"(file://)?({ways})", ".", text)
    return text
