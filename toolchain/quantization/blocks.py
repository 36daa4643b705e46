"""Fewest bytes for models on 4- and 8-bit blocks (imported from GGUF), within a task's limit.

How
    4-bit codes stay: they are already what fewest bits could say, and each that changes costs
    twelve times what its block's rounding did. What can be coarser are scales and minima
    (``block_factors``), a seventh of the bytes, and 8-bit codes (``block_codes``), above all those
    of the embedding. Tensors of one kind share one step.

    1. Each kind alone at its usual step: how much error it makes.
    2. Error grows with the square of a step, and a step twice as large saves a bit for each number;
       so at the best point each kind makes error in proportion to how many numbers it has. That
       fixes the ratios of the steps.
    3. One multiplier for all steps: bisection on the task's own error.
    4. The result is asked the confirmation data, and asked again with all steps shrunk together
       until it holds; if it never does, the model stays as it was. How far they shrink is all that
       the confirmation data decide.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from toolchain.errors import ToolError
from toolchain.execution.cache import ActionCache
from toolchain.execution.local import available_cores
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.onnx_blocks import BlockMatrix, Stored, block_matrices
from toolchain.formats.onnx_runner import open_runner
from toolchain.progress import SILENT, Progress
from toolchain.quantization.allocation import narrowed
from toolchain.quantization.block_codes import code_coder, column_bits
from toolchain.quantization.block_factors import exact_bits, factor_coder
from toolchain.quantization.block_moments import Seen, block_moments
from toolchain.quantization.candidate import Guard
from toolchain.quantization.front import Found, Point, Row, pareto
from toolchain.quantization.rate import tensor_bits
from toolchain.quantization.search import Plan
from toolchain.tasks.base import Score, Split, Task, require_limit


class Kind(StrEnum):
    """What shares a step; the value names it in reports."""

    TOKENS = "embedding, a step for each token, feedback"
    CODES = "8-bit blocks, a step for each row, feedback"
    FACTORS = "scales and minima on grids"


USUAL: Mapping[Kind, float] = {Kind.TOKENS: 6.0, Kind.CODES: 2.0, Kind.FACTORS: 0.05}
"""Steps, in median scales, at which each kind is asked alone. Measured on SmolLM2-135M: 6 and 0.05
make 0.003 and 0.001 nats; 2 is a guess (ours), from which the search finds its way."""

_OCTAVES = 1 / 3  # the first stride of the bisection
_ROUNDS = 3  # two questions each: 1/9 of the stride, 0.04 bits a number
_QUESTIONS = 2 + 2 * _ROUNDS  # on the search data, of a model with two kinds
_BACKOFF = 0.0625  # octaves by which steps shrink where the confirmation data objects
_BACKOFFS = 16  # together one octave: a quarter of the error


def kind(one: BlockMatrix) -> Kind:
    """Return what shares a step with a matrix."""
    if one.bits == 4:  # noqa: PLR2004 - 4 or 8
        return Kind.FACTORS
    return Kind.TOKENS if one.gathered else Kind.CODES


class Coder(Protocol):
    """Codes the tensors of one matrix."""

    @property
    def matrix(self) -> BlockMatrix:
        """What is coded."""
        ...

    def coded(self, step: float) -> dict[int, CodedTensor]:
        """Return tensors by index; nothing where that saves nothing."""
        ...


def coders(matrices: Sequence[BlockMatrix], seen: Mapping[str, Seen]) -> list[Coder]:
    """Return what codes each matrix.

    ``seen`` (``block_moments``) may lack matrices: their inputs matter alike then, and they are
    rounded without feedback.
    """
    return [
        (factor_coder if kind(one) is Kind.FACTORS else code_coder)(one, seen.get(one.name))
        for one in matrices
    ]


def recode(ready: Sequence[Coder], steps: Mapping[Kind, float]) -> dict[int, CodedTensor]:
    """Return tensors to be coded, by index; kinds without a step stay exact.

    The graph stays as it is: each decodes to the type and shape it had.
    """
    found: dict[int, CodedTensor] = {}
    for coder in ready:
        step = steps.get(kind(coder.matrix))
        if step is not None:
            found |= coder.coded(step)
    return found


def search(  # noqa: PLR0913 - as quantization.search: all but three have a default and a name
    model: bytes,
    task: Task,
    plan: Plan,
    *,
    progress: Progress = SILENT,
    cache: ActionCache | None = None,
    identity: str = "",
) -> Found:
    """Return the codes of the smallest model within ``task.limit``.

    ``task.instrumented`` is not asked: a language model shows all there is to compare.

    Errors:
        ConfigError: the task has no limit.
        InputError: the model cannot be asked.
        ToolError: it took longer than ``plan.stop_seconds``.

    Cost: 8 questions and 1 to 17 of the confirmation data, each of which codes anew, opens the
    model and asks the task. ``plan.seconds`` changes nothing in that.
    """
    begin = time.monotonic()
    require_limit(task)
    matrices = block_matrices(model)
    if not matrices:
        return Found({}, None, (), (), 0, 0.0, "it has no block-quantized matrices")
    progress.update("statistics of activations", 0, 1)
    ready = coders(matrices, block_moments(model, task, matrices))
    references = {Split.SEARCH: task.reference(open_runner(model), Split.SEARCH)}
    guard = Guard(model, task, {}, references, None, {}, cache, identity)
    trials = _Trials(guard, ready, plan, begin, progress)
    ratios = trials.ratios()
    best = trials.largest(ratios)
    if best is None:
        return trials.nothing("no steps held on the search data")
    return trials.confirmed({k: r * 2.0**best for k, r in ratios.items()})


@dataclass
class _Trials:
    """Tries steps, and remembers."""

    guard: Guard
    ready: Sequence[Coder]
    plan: Plan
    begin: float
    progress: Progress
    points: list[Point] = field(default_factory=list)
    exact: dict[int, float] = field(default_factory=dict)  # bits of tensors as they are, by index

    def ratios(self) -> dict[Kind, float]:
        """Return steps whose errors are shared out well, about as large as the limit allows."""
        numbers: Counter[Kind] = Counter()
        for coder in self.ready:
            numbers[kind(coder.matrix)] += _numbers(coder.matrix)
        kinds = sorted(numbers)
        alone = self._all([{k: USUAL[k]} for k in kinds])
        room = self._room()
        steps = {}
        for k, score in zip(kinds, alone, strict=True):
            share = room * numbers[k] / numbers.total()
            steps[k] = USUAL[k] * (math.sqrt(share / score.error) if score.error > 0 else 1.0)
        return steps

    def largest(self, ratios: Mapping[Kind, float]) -> float | None:
        """Return the binary logarithm of the largest multiplier found that holds."""

        def holding(exponents: Sequence[float]) -> list[bool]:
            points = [{k: r * 2.0**e for k, r in ratios.items()} for e in exponents]
            scores = self._all(points)
            return [score.error <= self.plan.margin * self._room() for score in scores]

        return narrowed(holding, -_OCTAVES, _OCTAVES, _ROUNDS)

    def _room(self) -> float:
        """Return the error at which the limit is reached.

        Errors are squares of changes, and a choice changes where a change exceeds a margin: the
        share of other choices grows with the root of the error. How fast is taken from all that
        was tried, since some hundred choices alone tell 97 % from 98 % by chance only.
        """
        limit = self.guard.task.limit
        points = [p for p in self.points if math.isfinite(p.error)]
        allowed = [] if limit.error is None else [limit.error]
        others = sum(1 - p.agreement for p in points)
        roots = sum(math.sqrt(p.error) for p in points)
        if limit.agreement is not None and others > 0 and roots > 0:
            growth = others / roots
            allowed.append(((1 - limit.agreement) / growth) ** 2)
        return min(allowed, default=max((p.error for p in points), default=0.0))

    def confirmed(self, steps: Mapping[Kind, float]) -> Found:
        """Return the result at ``steps``, all shrunk by as much as the confirmation data need."""
        for backoff in range(_BACKOFFS + 1):
            shrunk = {k: s * 2 ** (-_BACKOFF * backoff) for k, s in steps.items()}
            coded = recode(self.ready, shrunk)
            if not coded:
                return self.nothing("no steps that are small enough save any bytes")
            score = self.guard.final(coded, Split.CONFIRMATION)
            if not self.guard.task.limit.problem(score):
                return Found(
                    coded,
                    score,
                    pareto(self.points),
                    self._rows(coded),
                    self.guard.evaluations,
                    time.monotonic() - self.begin,
                )
        return self.nothing("what held on the search data did not on the confirmation data")

    def nothing(self, note: str) -> Found:
        """Return that the model stays as it was."""
        seconds = time.monotonic() - self.begin
        return Found({}, None, (), (), self.guard.evaluations, seconds, note)

    def _all(self, points: Sequence[Mapping[Kind, float]]) -> list[Score]:
        if time.monotonic() > self.begin + self.plan.stop_seconds:
            raise ToolError(
                "the search took longer than it may and was stopped; nothing of it is kept",
                hint="raise stop_seconds, or ask fewer questions",
            )
        workers = self.plan.workers or available_cores()
        with ThreadPoolExecutor(workers) as pool:
            scores = list(pool.map(self._try, points))
        self.points += [point for point, _ in scores]
        return [score for _, score in scores]

    def _try(self, steps: Mapping[Kind, float]) -> tuple[Point, Score]:
        coded = recode(self.ready, steps)
        score = self.guard.score(coded, Split.SEARCH)
        size = round(sum(bits for _, _, bits in self._bits(coded)) / 8) + self._rest()
        self.progress.update("evaluations", min(len(self.points), _QUESTIONS), _QUESTIONS)
        return Point(size, score.error, score.agreement), score

    def _rest(self) -> int:
        return len(self.guard.model) - sum(s.values.nbytes for _, s in self._stored())

    def _stored(self) -> list[tuple[str, Stored]]:
        matrices = [coder.matrix for coder in self.ready]
        parts = [(m.name, s) for m in matrices for s in (m.codes, m.scales, m.minima)]
        return [(name, stored) for name, stored in parts if stored is not None]

    def _bits(self, coded: Mapping[int, CodedTensor]) -> list[tuple[str, Stored, float]]:
        """Return every tensor of the matrices and what it takes."""
        found = []
        for name, stored in self._stored():
            if stored.index not in self.exact:
                self.exact[stored.index] = _exact_bits(stored)
            one = coded.get(stored.index)
            bits = self.exact[stored.index] if one is None else _coded_bits(one)
            found.append((name, stored, bits))
        return found

    def _rows(self, coded: Mapping[int, CodedTensor]) -> tuple[Row, ...]:
        kinds = {c.matrix.name: str(kind(c.matrix)) for c in self.ready}
        return tuple(
            Row(
                stored.index,
                name,
                kinds[name] if stored.index in coded else "as it was",
                stored.values.nbytes,
                round(bits / 8),
            )
            for name, stored, bits in self._bits(coded)
        )


def _numbers(one: BlockMatrix) -> int:
    """Return how many numbers of a matrix get coarser."""
    if kind(one) is Kind.FACTORS:
        return one.scales.values.size + (0 if one.minima is None else one.minima.values.size)
    return one.codes.values.size


def _exact_bits(stored: Stored) -> float:
    if stored.values.dtype.kind == "f":
        return exact_bits(stored)
    return column_bits(stored.values.astype(np.uint8))


def _coded_bits(coded: CodedTensor) -> float:
    return tensor_bits(coded) if coded.factors else column_bits(coded.codes)
