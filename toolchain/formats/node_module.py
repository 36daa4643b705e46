"""Loads a module in node and tells what it exports, or how it failed."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from toolchain.errors import ToolError

_TIMEOUT_SECONDS = 20.0  # ours: loading the largest bundle we know takes 0.2 s
_GRACE_S = 1.0  # to read what one wrote that ended while we waited for the other
_UNSETTLED = 13  # node's exit code when nothing is left to do and the top level still waits
_MARK = "vtool-module:"  # what the module itself prints comes before the line that starts so
_ANY_FILE = r"(/[\w@.+~%-]*)*"  # what a file is called, and its folder, is none of the program's
_OURS = "vtool-"  # what our temporary folders are called

_SCRIPT = Path(__file__).with_suffix(".mjs")


@dataclass(frozen=True, slots=True)
class Loading:
    """What became of a module: its exports with their types, or the error it threw.

    ``said`` is what it wrote to the console until nothing that it began was left to do; of objects
    only that they were. ``changed`` names the globals that are new or gone, and the members of
    built-in classes that are not what they were. A ``restless`` module never stops to speak: where
    its lines end is chance. ``is_late``: it did not load within the time.
    """

    exports: tuple[tuple[str, str], ...]
    error: str = ""
    said: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    restless: bool = field(default=False, compare=False)
    is_late: bool = False

    def is_like(self, other: Loading) -> bool:
        """Whether both are the same as far as anybody can tell."""
        mine, yours = spoken(self, other)
        told = mine == yours and self.changed == other.changed
        return told and self.exports == other.exports and self.fails_as(other)

    def fails_as(self, other: Loading) -> bool:
        """Whether both load, or fail alike, whatever their files are called."""
        mine, yours = (re.sub(rf"\.{_ANY_FILE}", ".", one.error) for one in (self, other))
        return mine == yours


def spoken(one: Loading, other: Loading) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what two modules said, as far as it can be compared."""
    if one.restless and other.restless:
        both = min(len(one.said), len(other.said))
        return one.said[:both], other.said[:both]
    return one.said, other.said


@dataclass(frozen=True, slots=True)
class Laid:
    """A module to load, and the folder that its program was laid out in; absolute paths."""

    module: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Both:
    """Two modules that were loaded; ``steady`` if what differs was seen again in a second run."""

    ours: Loading
    theirs: Loading
    steady: bool = True

    @property
    def are_alike(self) -> bool:
        """Whether both are the same as far as anybody can tell."""
        return self.ours.is_like(self.theirs)


def load_both(node: Path, ours: Laid, theirs: Laid) -> Both:
    """Load two modules at a time, and where they are not alike, both once more.

    Errors:
        ToolError: node cannot be started.
    """
    first = _both(node, ours, theirs)
    if first.are_alike or (first.ours.is_late and first.theirs.is_late):
        return first
    second = _both(node, ours, theirs)
    # what differs from run to run of one side says the time, or dice
    return replace(second, steady=second.are_alike or first.theirs.is_like(second.theirs))


def _both(node: Path, ours: Laid, theirs: Laid) -> Both:
    mine, yours = _loaded(node, (ours, theirs), _TIMEOUT_SECONDS)
    return Both(mine, yours)


def load_module(
    node: Path, module: Path, *, root: Path | None = None, timeout_seconds: float | None = None
) -> Loading:
    """Import ``module``, an absolute path, in a new node process; 20 s are its limit.

    ``root`` is the folder that the program was laid out in, if not the module's own.

    Errors:
        ToolError: node cannot be started.
    """
    limit_s = _TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
    return _loaded(node, [Laid(module, root or module.parent)], limit_s)[0]


def _loaded(node: Path, several: Sequence[Laid], limit_s: float) -> list[Loading]:
    """Load modules side by side, each in a process of its own."""
    code = _SCRIPT.read_text("utf-8")
    command = [str(node), "--no-warnings", "--input-type=module", "-e", code]
    with ExitStack() as stack:
        running = []
        end = time.monotonic() + limit_s
        for laid in several:
            try:
                process = subprocess.Popen(
                    [*command, laid.module.as_uri()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    cwd=laid.root,
                    env={},
                )
            except OSError as error:
                raise ToolError(f"node cannot be started: {error.strerror}") from error
            stack.enter_context(process)
            stack.callback(process.kill)
            running.append(process)
        found = []
        for laid, process in zip(several, running, strict=True):
            try:
                written, _ = process.communicate(timeout=max(end - time.monotonic(), _GRACE_S))
            except subprocess.TimeoutExpired:
                late = f"it did not load within {limit_s:g} s"
                found.append(Loading((), late, is_late=True))
            else:
                found.append(_loading(written, process.returncode, laid.root))
        return found


def _loading(written: str, code: int, root: Path) -> Loading:
    lines = [line for line in written.splitlines() if line.startswith(_MARK)]
    if not lines and code == _UNSETTLED:
        return Loading((), "its top level waits for ever: nothing settles what it awaits")
    if not lines:
        return Loading((), f"node ended with exit code {code} while loading it")
    answer = json.loads(lines[-1].removeprefix(_MARK))
    said = tuple(_placeless(line, root, _ANY_FILE) for line in answer["said"])
    exports = tuple(answer.get("exports", {}).items())
    failure = " ".join(_placeless(answer.get("error", ""), root).split())
    restless = answer.get("restless", False)
    return Loading(exports, failure, said, tuple(answer["changed"]), restless)


def _placeless(text: str, root: Path, below: str = "") -> str:
    """Return ``text`` without paths of this machine: ``root``, where the modules lie, is ``.``.

    So is the temporary folder that ``root`` lies in, of which node may speak as well, and what
    matches ``below`` after either.
    """
    above = [folder for folder in root.parents if folder.name.startswith(_OURS)]
    for folder in (root, *above):
        ways = "|".join(sorted({re.escape(str(folder)), re.escape(quote(str(folder)))}))
        text = re.sub(f"(file://)?({ways}){below}", ".", text)
    return text
