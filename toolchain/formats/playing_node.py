"""Plays a scenario in node and tells everything that was seen of the program."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from toolchain.errors import ConfigError, ToolError
from toolchain.ir import Observation

_HERE = Path(__file__).parent
OBSERVER_FILES = tuple(
    _HERE / name
    for name in (
        "disturbing.js",
        "disturbing_node.mjs",
        "observing.js",
        "observing_node.mjs",
        "playing_node.mjs",
    )
)
_START_S = 30.0  # ours: it takes 40 ms; a busy machine some seconds
_WRONG = "wrong scenario"


@cache
def node_version(node: Path) -> str:
    """Return what ``node --version`` says.

    Errors:
        ToolError: node cannot be started.
    """
    try:
        done = subprocess.run(
            [node, "--version"], capture_output=True, text=True, check=True, timeout=_START_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(f"node cannot be started: {error}") from error
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Played:
    """What was seen, and where it was asked for, V8's coverage documents: one of each thread."""

    observations: tuple[Observation, ...]
    coverage: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Manner:
    """How a scenario is played.

    With ``coverage`` V8 counts what runs. ``disturbed``, a seed, makes files, modules and other
    answers late, each by another time of up to 40 ms.
    """

    coverage: bool = False
    disturbed: int = 0


PLAIN = Manner()


def play_in_node(
    node: Path,
    folder: Path,
    start: tuple[str, str],
    limit_s: float,
    manner: Manner = PLAIN,
) -> Played:
    """Play a script on an entry (``start``, both files in ``folder``) in a new node process.

    Texts are as they were seen: they hold addresses of ``folder``. Observations of the main thread
    are in order; those of workers and of the process follow.

    Errors:
        ConfigError: the script is no scenario.
        ToolError: node cannot be started.
    """
    folder = folder.resolve()
    script, entry = start
    with tempfile.TemporaryDirectory(prefix="vtool-seen-") as name:
        seen, counted = Path(name) / "observations", Path(name) / "coverage"
        seen.touch()
        command = [
            str(node),
            "--no-warnings",
            f"--import={(_HERE / 'observing_node.mjs').as_uri()}",
            str(_HERE / "playing_node.mjs"),
            (folder / script).as_uri(),
            (folder / entry).as_uri(),
        ]
        environment = {"VTOOL_OBSERVATIONS": str(seen), "NODE_NO_WARNINGS": "1"}
        if manner.disturbed:
            environment["VTOOL_DISTURBED"] = str(manner.disturbed)
        if manner.coverage:
            environment["NODE_V8_COVERAGE"] = str(counted)
        ended = _run(command, environment, folder, limit_s)
        rows = [json.loads(line) for line in seen.read_text("utf-8").splitlines()]
        documents = [json.loads(p.read_bytes()) for p in sorted(counted.glob("*.json"))]
    found = [Observation(stream, kind, " ".join(texts)) for stream, kind, *texts in rows]
    wrong = next((one.text for one in found if one.kind == _WRONG), "")
    if wrong:
        raise ConfigError(
            f"scenario.script: {script}: {wrong}",
            hint="export default async (entry, report) => { ... } (docs/behaviour.md)",
        )
    return Played((*found, *ended), tuple(documents))


def _run(
    command: list[str], environment: Mapping[str, str], folder: Path, limit_s: float
) -> tuple[Observation, ...]:
    """Return how the process ended, and what it wrote beside the console."""
    with tempfile.TemporaryFile() as written:
        try:
            done = subprocess.run(
                command,
                stdout=written,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                timeout=limit_s,
                check=False,
                cwd=folder,
                env=environment,
            )
            ending = str(done.returncode)
        except subprocess.TimeoutExpired:
            ending = f"did not come within {limit_s:g} s"
        except OSError as error:
            raise ToolError(f"node cannot be started: {error.strerror}") from error
        written.seek(0)
        text = written.read().decode("utf-8", errors="replace")
    output = (Observation("process", "stdout", text),) if text else ()
    return (*output, Observation("process", "exit", ending))
