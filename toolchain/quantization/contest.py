"""Runs candidates against one another on a target: in turn, each in fresh processes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from toolchain.errors import UnusableError
from toolchain.execution.cache import ActionCache, action_key, source_digest
from toolchain.formats.onnx_random import seeded
from toolchain.ir import Digest, Machine, digest_of
from toolchain.progress import SILENT, Progress
from toolchain.quantization.measuring import Answers, Array, Bench, Feeds, Figures, bench
from toolchain.quantization.targets import Setting, Target
from toolchain.tables import check

_OTHER = "other answers than opened as usual"
_MOST_APART = 1e-3
"""Ours: of the largest answer an output gives. On ten models, in each format that changes them,
sums in another order are apart by at most 7e-6 of it; MatMulNBits whose weights are not packed does
not round its inputs to int8 as it does otherwise: 1e-2."""


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
    """What became of a candidate: figures, or the problem that kept it from running.

    Both, where it runs, but answers something else.
    """

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
        hits all of them. One that is hopelessly slower than the best has a single round, and so
        has one that answers otherwise than the first candidate of its format: that is the same
        model, opened as usual, and to open it in another way must not change it.

        Figures are kept only if every candidate has some: a crash or a time limit may be due to
        what else the machine did, and is tried again the next time.

        Errors:
            ToolError, UnavailableError: the target's runtime is not there.
        """
        key = self._key(candidates)
        if self.known and (found := self.known.cache.get(key)) is not None:
            return [_revived(c, row) for c, row in zip(candidates, found, strict=True)]
        with TemporaryDirectory() as folder:
            on = bench(self.target, self.feeds, Path(folder), self.progress)
            tried = self._rounds(on, candidates)
        if self.known and all(one.figures for one in tried):
            rows = [{"figures": one.figures, "problem": one.problem} for one in tried]
            self.known.cache.put(key, rows)
        return tried

    def _rounds(self, on: Bench, candidates: Sequence[Candidate]) -> list[Tried]:
        numbers = self.target.numbers
        rounds = int(numbers.rounds)
        paths: dict[int, Path] = {}
        tried: dict[int, Tried] = {}
        for number in range(rounds):
            order = [n for n in range(len(candidates)) if n not in tried or not tried[n].problem]
            random.Random(number).shuffle(order)  # noqa: S311 - an order, no secret
            for n in order:
                what = f"running {candidates[n].name} on {self.target.name}"
                self.progress.update(what, number * len(candidates) + n, rounds * len(candidates))
                before = tried.get(n)
                if before and _hopeless(before, tried.values(), numbers.hopeless):
                    continue
                tried[n] = _once(on, candidates[n], n, paths, before)
            if number == 0:
                tried = _compared(on, tried, paths)
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


def _compared(on: Bench, tried: Mapping[int, Tried], paths: Mapping[int, Path]) -> dict[int, Tried]:
    """Return ``tried``, with a problem where one answers otherwise than the first of its format."""
    formats: dict[str, list[int]] = {}
    for n in sorted(tried):
        formats.setdefault(tried[n].candidate.format, []).append(n)
    compared = dict(tried)
    for first, *others in formats.values():
        usual: list[Answers] = []
        for n in others:
            one = tried[n]
            if one.figures is None:
                continue
            try:
                usual = usual or _answers(on, tried[first].candidate, first, paths)
                same = answers_alike(_answers(on, one.candidate, n, paths), usual)
            except UnusableError as error:  # nobody knows what it answers
                compared[n] = Tried(one.candidate, None, str(error))
            else:
                compared[n] = one if same else replace(one, problem=_OTHER)
    return compared


def _answers(
    on: Bench, candidate: Candidate, number: int, paths: Mapping[int, Path]
) -> list[Answers]:
    """Return what it answers; random numbers, if it draws any, are the same each time."""
    model = seeded(candidate.model)
    if model is candidate.model and number in paths:
        return on.answers(paths[number], candidate.setting)
    path = on.prepared(model, candidate.setting, f"seeded-{number}")
    return on.answers(path, candidate.setting)


def answers_alike(ours: Sequence[Answers], usual: Sequence[Answers]) -> bool:
    """Return whether all answers have the same types and shapes, and nearly the same numbers."""
    if [_kinds(row) for row in ours] != [_kinds(row) for row in usual]:
        return False
    names = {name for row in usual for name in row}
    return all(_near(_numbers(name, ours), _numbers(name, usual)) for name in names)


def _kinds(row: Answers) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (array.dtype.name, array.shape) for name, array in row.items()}


def _numbers(name: str, rows: Sequence[Answers]) -> Array:
    """Return an output's numbers of all runs: what one says to silence is no scale."""
    return np.concatenate([row[name].ravel() for row in rows if name in row])


def _near(ours: Array, usual: Array) -> bool:
    if not np.issubdtype(usual.dtype, np.floating):
        return np.array_equal(ours, usual)
    finite = np.isfinite(usual)
    if not np.array_equal(ours[~finite], usual[~finite], equal_nan=True):
        return False
    expected = usual[finite].astype(np.float64)
    apart = np.abs(ours[finite].astype(np.float64) - expected)
    return bool(np.all(apart <= _MOST_APART * np.abs(expected).max(initial=0)))


def _hopeless(one: Tried, others: Iterable[Tried], factor: float) -> bool:
    latencies = [median(o.figures.latency_ms) for o in others if o.figures and not o.problem]
    own = median(one.figures.latency_ms) if one.figures else 0.0
    return own > factor * min(latencies)


def _revived(candidate: Candidate, row: dict[str, Any]) -> Tried:
    figures = row["figures"]
    return Tried(
        candidate,
        None if figures is None else check(figures, Figures, where="cached figures"),
        row["problem"],
    )
