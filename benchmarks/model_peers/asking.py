"""Asks models their own task's questions: what is fed to them, and how far answers are off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from model_peers import feeds

from toolchain.errors import InputError, UnusableError
from toolchain.formats.onnx_runner import Array, Watched, open_runner
from toolchain.tables import dump
from toolchain.tasks.base import Split, Task, make_task

_FED = 24  # ours: calls kept for calibration and latency, evenly over all that the task makes


def recorded(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write to ``out`` what the task feeds ``model`` for calibration; return how much that is."""
    task = _task(request)
    model = Path(request["model"])
    runner = open_runner(task.instrumented(model.read_bytes()))
    known = {port.name for port in open_runner(model).inputs}  # without the task's instruments
    rows: list[dict[str, Array]] = []

    def keep(fed: Mapping[str, Array], _: Mapping[str, Array]) -> None:
        rows.append({name: feed for name, feed in fed.items() if name in known})

    task.reference(Watched(runner, keep), Split.CALIBRATION)
    places = np.linspace(0, len(rows) - 1, min(_FED, len(rows))).round().astype(int)
    kept = [rows[place] for place in places]
    feeds.write(Path(request["out"]), kept)
    return {"calls": len(rows), "kept": len(kept)}


def scored(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the score of ``candidate`` on the confirmation data, and how it breaks the limit.

    ``stage`` says how far a candidate without a score came: it does not load, or does not run.
    """
    task = _task(request)
    original = open_runner(task.instrumented(Path(request["model"]).read_bytes()))
    candidate = Path(request["candidate"])
    try:
        open_runner(candidate)
    except UnusableError as error:
        return {"stage": "does not load", "words": str(error)}
    reference = task.reference(original, Split.CONFIRMATION)
    del original
    try:
        runner = open_runner(task.instrumented(candidate.read_bytes()))
        score = task.score(runner, reference, Split.CONFIRMATION)
    except InputError as error:
        return {"stage": "does not run", "words": str(error)}
    return {"score": dump(score), "problem": task.limit.problem(score), "unit": task.unit}


def _task(request: Mapping[str, Any]) -> Task:
    return make_task(request["task"], {n: Path(p) for n, p in request["files"].items()})
