"""Runs candidates against one another on a target: in turn, each in fresh processes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from toolchain.errors import UnusableError
from toolchain.execution.cache import ActionCache, action_key, source_digest
from toolchain.ir import Digest, Machine, digest_of
from toolchain.progress import SILENT, Progress
from toolchain.quantization.measuring import Bench, Feeds, Figures, bench
from toolchain.quantization.targets import Setting, Target
from toolchain.tables import check


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in one format, stored and opened in one way."""

    format: str
    model: bytes
    setting: Setting

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.format}, {self.setting.name}"


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a candidate: figures, or the problem that kept it from running."""

    candidate: Candidate
    figures: Figures | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Where figures are kept from one run to the next, and the machine they hold for."""

    cache: ActionCache
    machine: Machine


@dataclass(frozen=True, slots=True)
class Contest:
    """Where candidates run, what they are asked, and what is known already."""

    target: Target
    feeds: Sequence[Feeds]
    known: Known | None = None
    progress: Progress = SILENT

    def tried(self, candidates: Sequence[Candidate]) -> list[Tried]:
        """Return the figures of all candidates, in their order.

        They take turns, in a new (seeded) order each round, so that what else the machine does
        hits all of them. One that is hopelessly slower than the best has a single round.

        Errors:
            ToolError, UnavailableError: the target's runtime is not there.
        """
        key = self._key(candidates)
        if self.known and (found := self.known.cache.get(key)) is not None:
            return [_revived(c, row) for c, row in zip(candidates, found, strict=True)]
        with TemporaryDirectory() as folder:
            on = bench(self.target, self.feeds, Path(folder), self.progress)
            tried = self._rounds(on, candidates)
        if self.known:
            rows = [{"figures": one.figures, "problem": one.problem} for one in tried]
            self.known.cache.put(key, rows)
        return tried

    def _rounds(self, on: Bench, candidates: Sequence[Candidate]) -> list[Tried]:
        numbers = self.target.numbers
        rounds = int(numbers.rounds)
        paths: dict[int, Path] = {}
        tried: dict[int, Tried] = {}
        for number in range(rounds):
            order = [n for n in range(len(candidates)) if n not in tried or tried[n].figures]
            random.Random(number).shuffle(order)  # noqa: S311 - an order, no secret
            for n in order:
                what = f"running {candidates[n].name} on {self.target.name}"
                self.progress.update(what, number * len(candidates) + n, rounds * len(candidates))
                before = tried.get(n)
                if before and _hopeless(before, tried.values(), numbers.hopeless):
                    continue
                tried[n] = _once(on, candidates[n], n, paths, before)
        return [tried[n] for n in range(len(candidates))]

    def _key(self, candidates: Sequence[Candidate]) -> Digest:
        feeds = hashlib.sha256()
        for feed in self.feeds:
            for name, array in sorted(feed.items()):
                feeds.update(f"{name} {array.dtype} {array.shape} ".encode())
                feeds.update(np.ascontiguousarray(array).tobytes())
        return action_key(
            "contest",
            source_digest(__name__),
            self.known.machine if self.known else None,
            (self.target.runtime, self.target.package, self.target.numbers),
            feeds.hexdigest(),
            [(c.format, digest_of(c.model), asdict(c.setting)) for c in candidates],
        )


def _once(
    on: Bench, candidate: Candidate, number: int, paths: dict[int, Path], before: Tried | None
) -> Tried:
    """Run a candidate in one process; what it does not survive once, it does not survive."""
    try:
        if number not in paths:
            name = f"candidate-{number}"
            paths[number] = on.prepared(candidate.model, candidate.setting, name)
        figures = on.figures(paths[number], candidate.setting)
    except UnusableError as error:
        return Tried(candidate, None, str(error))
    known = before.figures if before else None
    return Tried(candidate, known.with_more(figures) if known else figures)


def _hopeless(one: Tried, others: Iterable[Tried], factor: float) -> bool:
    latencies = [median(o.figures.latency_ms) for o in others if o.figures]
    own = median(one.figures.latency_ms) if one.figures else 0.0
    return own > factor * min(latencies)


def _revived(candidate: Candidate, row: dict[str, Any]) -> Tried:
    figures = row["figures"]
    return Tried(
        candidate,
        None if figures is None else check(figures, Figures, where="cached figures"),
        row["problem"],
    )
