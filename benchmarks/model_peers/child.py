"""The processes in which tools run and models are asked: they may crash, hang or take all memory.

``python child.py`` reads one request as JSON from standard input and writes the answer as the last
line of standard output. ``answer`` starts one, within limits of time and memory.
"""

# ruff: noqa: PLC0415 - so that the memory of a process is that of the one tool it runs

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MOST_OF_ERROR = 300  # characters


def answer(job: str, request: Mapping[str, Any], *, seconds: float, memory_bytes: int) -> Any:  # noqa: ANN401 - JSON
    """Return what the child says, or ``{"error": why it says nothing}``."""
    from toolchain.errors import UnusableError
    from toolchain.quantization.trial import Limits, ask

    command = (sys.executable, str(Path(__file__).parent.parent / "models.py"), "--child", job)
    try:
        return ask(command, request, Limits(seconds, memory_bytes))
    except UnusableError as error:
        return {"error": str(error).removeprefix("the model does not run: ")}


def serve(job: str) -> None:
    """Do one job for a parent process."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not get between our lines
    request = json.loads(sys.stdin.read())
    before = time.process_time()
    try:
        found = _JOBS[job](request)
    except Exception as error:  # noqa: BLE001 - whatever a foreign tool raises is what is measured
        words = " ".join(f"{type(error).__name__}: {error}".split())
        found = {"failed": words[:_MOST_OF_ERROR]}
    found |= {"cpu_s": time.process_time() - before, "peak_bytes": _peak_bytes()}
    line.write(json.dumps(found) + "\n")
    line.flush()


def _convert(request: Mapping[str, Any]) -> dict[str, Any]:
    from model_peers import feeds
    from model_peers.peers import PEERS

    rows = feeds.read(Path(request["feeds"]))
    PEERS[request["peer"]].convert(Path(request["model"]), Path(request["out"]), rows)
    return {}


def _vtool(request: Mapping[str, Any]) -> dict[str, Any]:
    from model_peers import vtool

    return vtool.optimized(request)


def _place(request: Mapping[str, Any]) -> dict[str, Any]:
    from model_peers import vtool

    return vtool.placed(request)


def _feeds(request: Mapping[str, Any]) -> dict[str, Any]:
    from model_peers import asking

    return asking.recorded(request)


def _score(request: Mapping[str, Any]) -> dict[str, Any]:
    from model_peers import asking

    return asking.scored(request)


_JOBS = {"convert": _convert, "vtool": _vtool, "place": _place, "feeds": _feeds, "score": _score}


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
