"""Lets everybody answer everything, in random order, round by round, in fresh processes."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beside.samples import Asked, Contestant, Sample, Way
from beside.talking import FailedError, Talk, talk

PAUSE_S = 0.25
"""Before each answer: OpenMP's threads spin for 0.2 s after their work (KMP_BLOCKTIME), and nobody
else shall pay for it."""


@dataclass(frozen=True)
class Task:
    """What is asked: a clip, or a prompt of which the beginning may be known already."""

    asked: Asked
    requests: Mapping[str, Mapping[str, Any]]  # by the prefix of its figures


@dataclass
class Field:
    """Who is still taking part, and what was measured."""

    entries: Sequence[tuple[Contestant, Way]]
    folder: Path
    samples: list[Sample] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def round(self, number: int, tasks: Sequence[Task], rng: random.Random) -> None:
        """Start everybody anew, warm each up with the first task, and measure."""
        with ExitStack() as stack:
            talks: dict[str, Talk] = {}
            for contestant, way in rng.sample(self.entries, len(self.entries)):
                if contestant.missing or contestant.key in self.failed:
                    continue
                tell(f"round {number + 1}: opening {contestant.key}")
                try:
                    talks[contestant.key] = stack.enter_context(talk(way, self.folder))
                except FailedError as error:
                    self.fail(contestant.key, error)
            self._everybody(tasks[0], talks, rng, None)
            for task in rng.sample(tasks, len(tasks)):
                tell(f"round {number + 1}: {task.asked.item}")
                self._everybody(task, talks, rng, number)
            for key, one in talks.items():
                if key not in self.failed:
                    figures = {k: float(one.opened[k]) for k in ("ready_ms", "load_ms")}
                    if (peak := one.peak_bytes()) is not None:
                        figures["peak_bytes"] = float(peak)
                    self.samples.append(Sample(key, number, "", figures))

    def _everybody(
        self, task: Task, talks: Mapping[str, Talk], rng: random.Random, number: int | None
    ) -> None:
        """Ask everybody once, in random order; without a number nothing is kept."""
        for key in rng.sample(sorted(talks), len(talks)):
            if key in self.failed:
                continue
            try:
                answers = {}
                for prefix, request in task.requests.items():
                    if number is not None:
                        time.sleep(PAUSE_S)
                    answers[prefix] = talks[key].ask(request)
            except FailedError as error:
                self.fail(key, error)
                continue
            if number is not None:
                self.samples.append(sample(key, number, task.asked.item, answers))

    def fail(self, key: str, error: FailedError) -> None:
        """Leave somebody out from here on, and forget its samples: rounds that are not whole."""
        tell(f"{key} is out: {error}")
        self.failed[key] = str(error).replace(str(self.folder), "").replace(str(Path.home()), "")
        self.samples = [one for one in self.samples if one.key != key]


def sample(key: str, number: int, item: str, answers: Mapping[str, Mapping[str, Any]]) -> Sample:
    """Return one sample of the answers to one task, by the prefix of their figures.

    >>> answer = {"first_ms": 10.0, "total_ms": 30.0, "cpu_ms": 40.0, "tokens": [1, 2, 3]}
    >>> sample("a", 0, "q", {"": answer}).figures
    {'first_ms': 10.0, 'total_ms': 30.0, 'cpu_ms': 40.0, 'token_ms': 10.0}
    """
    figures: dict[str, float] = {}
    for prefix, answer in answers.items():
        times = {name: float(v) for name, v in answer.items() if name.endswith("_ms")}
        if len(answer.get("tokens", ())) > 1:
            rest = len(answer["tokens"]) - 1
            times["token_ms"] = (times["total_ms"] - times["first_ms"]) / rest
        figures |= {f"{prefix}{name}": ms for name, ms in times.items()}
    said = answers[""]
    return Sample(key, number, item, figures, said.get("text", ""), tuple(said.get("tokens", ())))


def tell(words: str) -> None:
    """Say what is being done."""
    print(words, file=sys.stderr, flush=True)
