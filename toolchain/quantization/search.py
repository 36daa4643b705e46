"""Finds, for all weights of a model at once, codes of the fewest bytes within a task's limit.

How
    1. Weights and their inputs' second moments; each weight in its best representation
       (``quantizer``), with a step relative to the size of its answers.
    2. One multiplier for all: bisection on the task's own error.
    3. Each unit (a large weight, or several small ones) alone: how sensitive the task is to it.
    4. Shares of error by a Lagrangian (``allocation``), bisection on the price of error.
    5. From there each unit coarser, with all others as they are: sensitivities as they are at the
       operating point; shared out anew, bisected again.
    6. If the result has to hold in an execution format that rounds activations, all steps change
       together, mostly shrink, until it just does, in the format and folded, still on the search
       data. If it does nowhere, the format is given up.
    7. The smallest that held is asked the confirmation data, as the model that will run, and asked
       again with all steps shrunk together until it holds; if it never does, weights on a grid of
       their own get its codes and all others stay as they were.

The confirmation data decide one number, how far all steps shrink together (at most: until nothing
changes), and nothing else. The step of one weight, its representation and the format come from the
calibration and the search data. A format in which no such number holds is given up too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from toolchain.execution.cache import ActionCache
from toolchain.execution.local import available_cores
from toolchain.formats import onnx_model
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.execution_format import FOLDED
from toolchain.formats.onnx_weights import Weight, weights
from toolchain.progress import SILENT, Progress
from toolchain.quantization.allocation import narrowed, shared_out
from toolchain.quantization.candidate import guard
from toolchain.quantization.cost import evaluations, question_seconds
from toolchain.quantization.descent import Descent
from toolchain.quantization.front import Found, Row, pareto
from toolchain.quantization.point import Trials, Tried, stored_bits
from toolchain.quantization.quantizer import Prepared, prepared
from toolchain.quantization.rate import tensor_bits
from toolchain.quantization.survey import Survey, content, surveyed
from toolchain.tables import table
from toolchain.tasks.base import Limit, Score, Split, Task, require_limit

_BACKOFF = 0.0625  # octaves by which steps shrink where the confirmation data objects
_STRIDES = (0, 1, 2, 4, 8, 16, 32, 64)
"""Back-offs that are tried, the last of four octaves: a sixteenth of the error. Silero, with two
minutes of sound for its search, needs about twenty; each question takes it a second."""

_ROOM_STRIDE = 0.5  # octaves: half of the error of a model where errors are squares
_ROOM_ROUNDS = 4

_FIXED = 8  # questions of the first bisection
_BISECTION = 6  # of each later one
_ROUNDS = ((120, 3), (60, 2), (36, 1))
"""From this many questions on, sensitivities are measured so often again. Ours."""


@table
class Plan:
    """How much is tried, and how careful."""

    seconds: float = 180.0  # of CPU, from a cost estimate: the clock decides nothing
    least_elements: int = 32  # smaller tensors stay: their factors would cost more
    margin: float = 0.95  # share of the limit that is used on the search data
    format: str = FOLDED  # execution format in which the result has to hold
    workers: int = 0  # threads; 0: one for each core. The result does not depend on it
    stop_seconds: float = 3600.0  # of the clock; then it fails


@dataclass(frozen=True)
class _Schedule:
    """What is asked for: units of weights, and how often their sensitivities are measured again."""

    units: Mapping[str, Sequence[int]]
    rounds: int
    evaluations: int


def search(  # noqa: PLR0913 - all but three have a default and a name
    model: bytes,
    task: Task,
    plan: Plan,
    *,
    progress: Progress = SILENT,
    cache: ActionCache | None = None,
    identity: str = "",
) -> Found:
    """Return the codes of the smallest model within ``task.limit``.

    ``identity`` names task and data for ``cache``: what was asked once is not asked again.

    Errors:
        ConfigError: the task has no limit.
        InputError: the model cannot be asked.
        ToolError: it took longer than ``plan.stop_seconds``.
    """
    begin = time.monotonic()
    require_limit(task)
    seen = task.instrumented(model)
    parsed = onnx_model.load(seen)
    own = {w.key for w in weights(onnx_model.load(model), plan.least_elements)}
    found = [w for w in weights(parsed, plan.least_elements) if w.key in own]
    if not found:
        return _nothing("it has no weights that could be coded", begin)
    progress.update("statistics of activations", 0, 1)
    survey = surveyed(seen, task, found, plan.least_elements)
    ready = _prepared(found, survey, plan)
    asked, tally = guard(seen, task, {w.index: w for w in found})
    asked.cache, asked.identity, asked.format = cache, identity, plan.format
    nodes = sum(1 for _ in onnx_model.nodes(parsed))
    each = question_seconds(ready.values(), survey, tally, nodes)
    schedule = _schedule(ready, evaluations(plan.seconds, each))
    trials = Trials(
        asked,
        ready,
        schedule.units,
        len(model) - sum(one.weight.values.nbytes for one in ready.values()),
        plan.workers or available_cores(),
        schedule.evaluations,
        progress,
    )
    rounds = schedule.rounds
    goal = _strict(task.limit, plan.margin)
    best = Descent(trials, goal, begin + plan.stop_seconds).run(rounds)
    if best is None:
        best = trials.try_all([dict.fromkeys(trials.units, 0.0)])[0]
    result = _nothing("", begin)
    roomy = _with_room(trials, best, goal) if plan.format != FOLDED else None
    if roomy is not None:
        result = _confirmed(trials, roomy, task.limit, begin)
    if not result.coded:  # not in that format: as every tensor comes, then
        asked.format = FOLDED
        result = _confirmed(trials, best, task.limit, begin)
    return _in_terms_of(model, found, result)


def _schedule(ready: Mapping[int, Prepared], count: int) -> _Schedule:
    """Share ``count`` questions out."""
    rounds = next((r for least, r in _ROUNDS if count >= least), 0)
    bisections = _FIXED + _BISECTION * (rounds + 1)
    most = max(1, (count - bisections) // (rounds + 1))
    sizes = {str(i): one.values.size for i, one in ready.items()}
    units = {"+".join(g): [int(n) for n in g] for g in shared_out(list(sizes), sizes, most)}
    return _Schedule(units, rounds, bisections + len(units) * (rounds + 1))


def _prepared(found: Sequence[Weight], survey: Survey, plan: Plan) -> dict[int, Prepared]:
    def ready(weight: Weight) -> Prepared:
        return prepared(weight, survey.moments.get(content(weight)))

    with ThreadPoolExecutor(plan.workers or available_cores()) as pool:
        return {one.weight.index: one for one in pool.map(ready, found)}


def _with_room(trials: Trials, best: Tried, goal: Limit) -> Tried | None:
    """Return ``best`` with all steps as coarse as its execution format allows; None if none are.

    Steps that are best at one price of error are nearly so at another, in the same proportions.
    They may also grow: ``best`` is the coarsest of some that were tried.
    """

    def at(exponent: float) -> dict[str, float]:
        return {name: m * 2.0**exponent for name, m in best.multipliers.items()}

    def holding(exponents: Sequence[float]) -> list[bool]:
        scores = [trials.guard.final(trials.codes(at(e)), Split.SEARCH) for e in exponents]
        return [not goal.problem(score) for score in scores]

    found = narrowed(holding, -_ROOM_STRIDE, _ROOM_STRIDE, _ROOM_ROUNDS)
    return None if found is None else trials.try_all([at(found)])[0]


def _strict(limit: Limit, margin: float) -> Limit:
    error = None if limit.error is None else limit.error * margin
    agreement = None if limit.agreement is None else 1 - (1 - limit.agreement) * margin
    return Limit(error, agreement)


def _confirmed(trials: Trials, best: Tried, limit: Limit, begin: float) -> Found:
    """Return ``best`` with steps that hold on the confirmation data; or what changes nothing.

    All shrink together in growing strides until it holds, and then grow again as far as it does.
    """
    held: dict[int, tuple[Mapping[int, CodedTensor], Score]] = {}

    def holds(backoff: int) -> bool:
        factor = 2 ** (-_BACKOFF * backoff)
        coded = trials.codes({n: m * factor for n, m in best.multipliers.items()})
        if not coded:
            return False
        score = trials.guard.final(coded, Split.CONFIRMATION)
        if not limit.problem(score):
            held[backoff] = coded, score
        return backoff in held

    found = next((n for n, stride in enumerate(_STRIDES) if holds(stride)), None)
    if found:
        low, high = _STRIDES[found - 1], _STRIDES[found]
        while high - low > max(1, high // 8):
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
    if held:
        coded, score = held[min(held)]
        return _found(trials, coded, score, begin)
    return _unchanged(trials, limit, begin)


def _unchanged(trials: Trials, limit: Limit, begin: float) -> Found:
    """Return codes of weights on grids of their own, which change nothing, if there are any.

    They are asked too: a format may round activations too coarsely even for them.
    """
    coded = trials.codes(dict.fromkeys(trials.units, 0.0))
    if coded:
        score = trials.guard.final(coded, Split.CONFIRMATION)
        if not limit.problem(score):
            return _found(trials, coded, score, begin)
    return _nothing("no change of any weight held on the confirmation data", begin, trials)


def _found(trials: Trials, coded: Mapping[int, CodedTensor], score: Score, begin: float) -> Found:
    rows = []
    for index, one in trials.prepared.items():
        bits = tensor_bits(coded[index]) if index in coded else stored_bits(one)
        kind = str(one.kind)
        if coded.get(index) is one.exact:
            kind = "as it was" if one.exact is None else "as it was, on its own grid"
        rows.append(Row(index, one.weight.name, kind, one.weight.values.nbytes, round(bits / 8)))
    points = pareto([t.point for t in trials.tried])
    count, seconds = trials.guard.evaluations, time.monotonic() - begin
    return Found(coded, score, points, tuple(rows), count, seconds)


def _in_terms_of(model: bytes, found: Sequence[Weight], result: Found) -> Found:
    """Return ``result``, of an instrumented model, with the indices of ``model`` itself."""
    own = {w.key: w.index for w in weights(onnx_model.load(model), 0)}
    index = {w.index: own[w.key] for w in found if w.key in own}
    return replace(
        result,
        coded={index[i]: c for i, c in result.coded.items() if i in index},
        rows=tuple(replace(r, index=index[r.index]) for r in result.rows if r.index in index),
    )


def _nothing(note: str, begin: float, trials: Trials | None = None) -> Found:
    count = trials.guard.evaluations if trials else 0
    return Found({}, None, (), (), count, time.monotonic() - begin, note)
