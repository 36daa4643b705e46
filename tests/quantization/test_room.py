"""A search leaves an execution format its part of the limit, where the format is worth that."""

from __future__ import annotations

import tiny_weights as tiny

from toolchain.formats.coded_tensor import decoded
from toolchain.formats.execution_format import FOLDED, applied
from toolchain.formats.onnx_runner import open_runner
from toolchain.formats.onnx_weights import with_values
from toolchain.quantization.front import Found
from toolchain.quantization.room import worth_room
from toolchain.quantization.search import Plan, search
from toolchain.tasks.base import Score, Split, Task, make_task

INTEGERS, ROWS = "matmul-integer", "matmul-integer-rows"
PERCEPTRON = tiny.model(
    """main (float[n, 48] x) => (float[n, 48] y) {
        a = MatMul (x, v) b = Relu (a) y = MatMul (b, w)
    }""",
    v=tiny.noise(48, 48, seed=1),
    w=tiny.noise(48, 48, seed=2),
)
WIDE, LIMIT = 0.02, 0.01  # rounding the activations takes about 0.007


def unknown(limit: float) -> Task:
    return make_task({"family": "unknown", "limit": limit}, {})


def scored(found: Found, form: str) -> Score:
    """Return the score on data the search did not see, as the model runs in a format."""
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


def test_a_result_holds_in_the_format_that_it_was_searched_for() -> None:
    plan = Plan(seconds=1, workers=1)
    usual = search(PERCEPTRON, unknown(LIMIT), plan)
    roomy = search(PERCEPTRON, unknown(LIMIT), Plan(seconds=1, workers=1, format=INTEGERS))
    assert scored(usual, FOLDED).error < LIMIT < scored(usual, INTEGERS).error
    assert scored(roomy, INTEGERS).error < LIMIT
    assert roomy.score == scored(roomy, INTEGERS)


def test_a_format_that_holds_nowhere_does_not_spoil_the_search() -> None:
    plan = Plan(seconds=1, workers=1)
    usual = search(PERCEPTRON, unknown(0.001), plan)
    other = search(PERCEPTRON, unknown(0.001), Plan(seconds=1, workers=1, format=INTEGERS))
    assert usual.coded
    assert [r.after for r in other.rows] == [r.after for r in usual.rows]
