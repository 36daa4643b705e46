"""What a task feeds its model, as a file: for calibration, and to measure latency on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_FEW = 6  # ours: calls in one pass of a latency measurement

Feeds = Mapping[str, Any]


def write(path: Path, rows: Sequence[Feeds]) -> None:
    """Write the calls ``rows`` to ``path``."""
    arrays = {f"{n}/{name}": feed for n, row in enumerate(rows) for name, feed in row.items()}
    np.savez(path, **arrays)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all calls."""
    rows: list[dict[str, Any]] = []
    with np.load(path) as stored:
        for key in stored.files:
            number, _, name = key.partition("/")
            while len(rows) <= int(number):
                rows.append({})
            rows[int(number)][name] = stored[key]
    return rows


def few(path: Path) -> list[dict[str, Any]]:
    """Return some of the calls, evenly over all."""
    rows = read(path)
    places = np.linspace(0, len(rows) - 1, min(_FEW, len(rows))).round().astype(int)
    return [rows[place] for place in places]
