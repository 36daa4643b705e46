"""A search leaves an execution format its part of the limit, where the format is worth that."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import tiny_weights as tiny

from toolchain.formats.coded_tensor import decoded
from toolchain.formats.execution_format import FOLDED, applied
from toolchain.formats.onnx_runner import Runner, open_runner
from toolchain.formats.onnx_weights import with_values
from toolchain.passes.quantize import Quantize
from toolchain.quantization.front import Found
from toolchain.quantization.room import share, worth_room
from toolchain.quantization.search import Plan, search
from toolchain.tasks.base import Limit, Score, Split, Task, make_task

INTEGERS, ROWS, HALF = "matmul-integer", "matmul-integer-rows", "fp16-storage"
PERCEPTRON = tiny.model(
    """main (float[n, 48] x) => (float[n, 48] y) {
        a = MatMul (x, v) b = Relu (a) y = MatMul (b, w)
    }""",
    v=tiny.noise(48, 48, seed=1),
    w=tiny.noise(48, 48, seed=2),
)
WIDE, LIMIT = 0.03, 0.02  # rounding the activations takes about 0.011


def unknown(limit: float) -> Task:
    return make_task({"family": "unknown", "limit": limit}, {})


def scored(found: Found, form: str) -> Score:
    """Return the score on the confirmation data, as the model runs in a format."""
    task = unknown(LIMIT)
    folded = with_values(PERCEPTRON, {i: decoded(c) for i, c in found.coded.items()})
    reference = task.reference(open_runner(PERCEPTRON), Split.CONFIRMATION)
    return task.score(open_runner(applied(folded, form)), reference, Split.CONFIRMATION)


def test_a_format_gets_room_if_it_takes_only_part_of_the_limit() -> None:
    assert worth_room(PERCEPTRON, unknown(WIDE), (INTEGERS, ROWS)) == INTEGERS
    assert worth_room(PERCEPTRON, unknown(WIDE), (ROWS, INTEGERS)) == ROWS
    assert worth_room(PERCEPTRON, unknown(0.001), (INTEGERS, ROWS)) == FOLDED


def test_a_format_that_computes_little_of_a_model_gets_no_room() -> None:
    assert worth_room(tiny.conv(), unknown(WIDE), (INTEGERS,)) == FOLDED
    assert worth_room(PERCEPTRON, unknown(WIDE), ()) == FOLDED


@pytest.mark.parametrize(
    ("score", "limit"),
    [
        (Score(math.nan, 1.0, 1), Limit(error=0.1)),
        (Score(math.inf, 1.0, 1), Limit(error=0.0)),
        (Score(0.0, math.nan, 1), Limit(error=0.1, agreement=0.9)),
    ],
)
def test_what_is_no_number_uses_up_every_limit(score: Score, limit: Limit) -> None:
    assert share(score, limit) == math.inf


def test_a_share_says_what_the_limit_says() -> None:
    limit = Limit(error=0.2, agreement=0.9)
    for score in (Score(0.1, 1.0, 1), Score(0.3, 1.0, 1), Score(0.1, 0.8, 1), Score(0.1, 0.95, 1)):
        assert bool(limit.problem(score)) == (share(score, limit) > 1)
    nothing = Limit(error=0.0)
    assert share(Score(0.0, 1.0, 1), nothing) == 0
    assert nothing.problem(Score(1e-9, 1.0, 1))
    assert share(Score(1e-9, 1.0, 1), nothing) > 1


def test_the_score_is_that_of_the_format_or_folded_whichever_is_worse() -> None:
    plan = Plan(seconds=1, workers=1, format=HALF)
    scores = {}
    for limit in (0.02, 0.04):
        found = search(PERCEPTRON, unknown(limit), plan)
        by = {form: scored(found, form) for form in (HALF, FOLDED)}
        assert found.score == max(by.values(), key=lambda score: score.error)
        scores[limit] = max(by, key=lambda form: by[form].error)
    assert scores == {0.02: HALF, 0.04: FOLDED}


def test_a_result_holds_in_the_format_that_it_was_searched_for() -> None:
    plan = Plan(seconds=1, workers=1)
    usual = search(PERCEPTRON, unknown(LIMIT), plan)
    roomy = search(PERCEPTRON, unknown(LIMIT), Plan(seconds=1, workers=1, format=INTEGERS))
    assert scored(usual, FOLDED).error < LIMIT < scored(usual, INTEGERS).error
    assert scored(roomy, INTEGERS).error < LIMIT
    assert roomy.score == scored(roomy, INTEGERS)


def on_a_grid() -> bytes:
    """Return the perceptron with a first weight that was integer once."""
    codes = np.clip(np.rint(tiny.noise(64, 80, seed=1) * 20), -127, 127).astype(np.int8)
    return tiny.model(
        """main (float[n, 64] x) => (float[n, 48] y) {
            a = MatMul (x, v) b = Relu (a) y = MatMul (b, w)
        }""",
        v=codes.astype(np.float32) * np.float32(0.013),
        w=tiny.noise(80, 48, seed=2),
    )


@pytest.mark.parametrize("model", [PERCEPTRON, on_a_grid()], ids=["floats", "a weight on a grid"])
def test_a_format_that_holds_nowhere_does_not_spoil_the_search(model: bytes) -> None:
    plan = Plan(seconds=1, workers=1)
    usual = search(model, unknown(0.001), plan)
    other = search(model, unknown(0.001), Plan(seconds=1, workers=1, format=INTEGERS))
    assert len(usual.coded) == 2
    assert other.score == usual.score
    assert other.score is not None
    assert other.score.error <= 0.001
    assert [r.after for r in other.rows] == [r.after for r in usual.rows]


@dataclass(frozen=True)
class Forbidding:
    """A task that accepts no change on the questions of one split."""

    inner: Task
    forbidden: Split | None
    unit: str = "relative"

    @property
    def limit(self) -> Limit:
        return self.inner.limit

    def instrumented(self, model: bytes) -> bytes:
        return model

    def reference(self, runner: Runner, split: Split) -> object:
        return self.inner.reference(runner, split)

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        found = self.inner.score(runner, reference, split)
        return replace(found, error=1.0) if split is self.forbidden else found


@pytest.mark.parametrize(
    ("forbidden", "named"),
    [(None, (INTEGERS,)), (Split.SEARCH, ()), (Split.CONFIRMATION, ())],
)
def test_a_format_is_named_if_it_holds_on_the_search_data_and_on_the_confirmation_data(
    forbidden: Split | None, named: tuple[str, ...]
) -> None:
    found = search(PERCEPTRON, unknown(WIDE), Plan(seconds=1, workers=1, format=INTEGERS))
    of_pass = Quantize(task={"family": "unknown", "limit": WIDE}, formats=(INTEGERS, HALF))
    task = Forbidding(unknown(WIDE), forbidden)
    kept = of_pass._formats(PERCEPTRON, found.coded, task)
    assert kept == (FOLDED, *((*named, HALF) if named else ()))
