"""One run of the command: who takes part answers everything, round by round."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from beside import taking_part
from beside.rounds import Field
from beside.samples import Found
from beside.tasks import heard, prompted

from toolchain.harness.machine import machine


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    result: Path
    rounds: int
    tokens: int  # of each answer of a language model
    only: str | None = None  # stt or llm


def measured(request: Request) -> Found:
    """Return everything of one run.

    Errors:
        VtoolError: there is no result of ``vtool optimize``, or vtool's own stage does not open.
    """
    app, here = taking_part.application(request.result), machine()
    rng = random.Random(0)  # noqa: S311 - an order, not a secret
    parts = []
    stops: tuple[int, ...] = ()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if request.only != "llm":
            parts.append((Field(list(taking_part.stt(app, folder)), folder), heard(app.clips)))
        if request.only != "stt":
            entries = list(taking_part.llm(app, folder))
            entries, tasks, stops = prompted(app, entries, folder, request.tokens)
            parts.append((Field(entries, folder), tasks))
        for field, tasks in parts:
            for number in range(request.rounds):
                field.round(number, tasks, rng)
    return Found(
        machine=here,
        versions=taking_part.versions(),
        rounds=request.rounds,
        contestants=tuple(one for field, _ in parts for one, _ in field.entries),
        asked=tuple(task.asked for _, tasks in parts for task in tasks),
        samples=tuple(one for field, _ in parts for one in field.samples),
        tokens=request.tokens,
        stops=stops,
        failed={key: words for field, _ in parts for key, words in field.failed.items()},
    )
