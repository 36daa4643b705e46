"""A model nobody knows: its numbers are compared, and nothing lossy is allowed by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import parser

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_runner import open_runner
from toolchain.tasks.base import Limit, Score, Split, make_task

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
LINEAR = "main (float[1, n] x) => (float[1, n] y) <float a = {%r}> { y = Mul (x, a) }"
STATEFUL = """main (float[1, n] x, float[1, 1] state) => (float[1, n] y, float[1, 1] stateN)
    <float keep = {%r}> {
    mean = ReduceMean <axes = [1]> (x)
    moved = Add (state, mean)
    stateN = Mul (moved, keep)
    y = Add (x, state)
}"""


def model(text: str) -> bytes:
    data: bytes = parser.parse_model(f"{HEAD} {text}").SerializeToString()
    return data


def score(before: str, after: str, split: Split = Split.SEARCH, **options: object) -> Score:
    task = make_task({"family": "unknown", **options}, {})
    original, changed = (open_runner(task.instrumented(model(text))) for text in (before, after))
    return task.score(changed, task.reference(original, split), split)


@pytest.mark.parametrize("split", Split)
def test_a_model_agrees_with_itself(split: Split) -> None:
    same = score(STATEFUL % 0.5, STATEFUL % 0.5, split)
    assert (same.error, same.agreement) == (0.0, 1.0)
    assert same.positions > 0


def test_the_error_is_relative_to_the_output() -> None:
    assert score(LINEAR % 100.0, LINEAR % 101.0).error == pytest.approx(0.01, rel=1e-5)
    assert score(LINEAR % 1e-6, LINEAR % 1.01e-6).error == pytest.approx(0.01, rel=1e-4)


def test_a_change_of_any_row_of_a_table_is_an_error() -> None:
    """A row that no made-up token chose could be anything."""
    text = "main (int64[1, n] ids) => (float[1, n] y) <float[40] t = {%s}> { y = Gather (t, ids) }"
    rows = [1.0] * 40
    whole = text % ",".join(map(str, rows))
    last = text % ",".join(map(str, [*rows[:-1], 2.0]))
    assert score(whole, whole, Split.CONFIRMATION).error == 0
    assert score(whole, last, Split.CONFIRMATION).error > 0.05


def test_a_range_of_values_is_kept_and_checked() -> None:
    text = """main (int64[1, n] ids) => (float[1, n] y)
        <float[4] t = {1, 1, 1, %d}> { y = Gather (t, ids) }"""
    few = {"ids": [0, 2]}
    assert score(text % 1, text % 9).error > 0
    assert score(text % 1, text % 9, values=few).error == 0
    with pytest.raises(ConfigError, match="from 2 to 0"):
        score(text % 1, text % 1, values={"ids": [2, 0]})
    with pytest.raises(InputError, match="no input 'token'"):
        score(text % 1, text % 1, values={"token": [0, 2]})


def test_a_state_does_not_carry_an_error_on() -> None:
    """Both get the original's state: y is then the same, only stateN is a tenth too small."""
    found = score(STATEFUL % 1.0, STATEFUL % 0.9)
    assert found.details["error of y"] == 0.0
    assert found.error == found.details["error of stateN"] == pytest.approx(0.1, rel=1e-5)


def test_the_originals_state_is_what_is_fed_next() -> None:
    task = make_task({"family": "unknown"}, {})
    frames = task.reference(open_runner(model(STATEFUL % 0.5)), Split.SEARCH)
    feeds, outputs = zip(*frames, strict=True)  # type: ignore[call-overload]  # the frames of unknown
    for before, after in zip(outputs[:19], feeds[1:20], strict=True):
        assert np.array_equal(before["stateN"], after["state"])
    assert any(np.any(one["state"]) for one in feeds)


def test_integers_are_decisions() -> None:
    text = """main (float[1, n] x) => (int64[1, 1] best, float[1, n] y)
        <float a = {%r}> { y = Mul (x, a) best = ArgMax <axis = 1> (y) }"""
    turned = score(text % 1.0, text % -1.0)
    assert turned.agreement < 0.7
    assert turned.details["error of best"] == 1 - turned.agreement
    same = score(text % 1.0, text % 2.0)
    assert (same.agreement, same.details["error of best"]) == (1.0, 0.0)


TOKENS = "main (float[1, n] x) => (int64[1, 1] best) <float a = {%r}> { y = Mul (x, a) %s }"
BEST = "best = ArgMax <axis = 1> (y)"


@pytest.mark.parametrize(
    ("after", "holds"),
    [
        (TOKENS % (2.0, BEST), True),
        (TOKENS % (-1.0, BEST), False),
        (
            "main (float[1, n] x) => (int64[2] best) { best = Constant <value_ints = [5, 5]> () }",
            False,
        ),
        (TOKENS.replace("best)", "other)") % (1.0, BEST.replace("best", "other")), False),
    ],
)
def test_a_model_that_gives_only_integers_can_break_a_limit_of_error(
    after: str, *, holds: bool
) -> None:
    limit = make_task({"family": "unknown", "limit": 0.01}, {}).limit
    assert (not limit.problem(score(TOKENS % (1.0, BEST), after, Split.CONFIRMATION))) is holds


def test_a_few_other_integers_are_a_small_error() -> None:
    """Integers are judged each for itself: one of a thousand is no catastrophe."""
    text = "main (float[1, n] x) => (bool[1, n] loud) <float a = {%r}> { loud = Greater (x, a) }"
    few = score(text % 0.2, text % 0.21, shapes={"x": [1, 1000]})
    assert few.error == pytest.approx(1 - few.agreement)
    assert 0 < few.error < 0.05


def test_a_model_whose_output_is_a_sequence_is_an_input_error() -> None:
    text = "main (float[1, n] x) => (seq(float[1, n]) y) { y = SequenceConstruct (x, x) }"
    with pytest.raises(InputError, match="the output 'y' is a sequence") as caught:
        score(text, text)
    assert "tensors" in caught.value.hint


@pytest.mark.parametrize(
    "after",
    [
        "main (float[1, n] x) => (float[n] y) { a = Shape <start = 1> (x) y = Reshape (x, a) }",
        "main (float[1, n] x) => (float[1, n] y) { a = Neg (x) b = Sqrt (a) y = Sqrt (b) }",
        "main (float[1, n] x) => (float[1, n] z) { z = Identity (x) }",
        "main (float[1, n] x) => (seq(float[1, n]) y) { y = SequenceConstruct (x, x) }",
    ],
)
def test_what_cannot_be_compared_is_infinitely_far(after: str) -> None:
    assert score(LINEAR % 1.0, after).error == math.inf
    assert Limit(error=1e9).problem(score(LINEAR % 1.0, after))


def test_no_question_is_in_two_splits() -> None:
    task = make_task({"family": "unknown"}, {})
    runner = open_runner(model(LINEAR % 1.0))
    seen: set[bytes] = set()
    for split in Split:
        frames = task.reference(runner, split)
        asked = {feeds["x"].tobytes() for feeds, _ in frames if np.any(feeds["x"])}  # type: ignore[attr-defined]  # the frames of unknown
        assert len(asked) > 8
        assert not asked & seen
        seen |= asked


def test_the_same_questions_are_asked_every_time() -> None:
    first, again = (score(STATEFUL % 0.5, STATEFUL % 0.51) for _ in range(2))
    assert first == again
    assert first.error > 0


def test_the_seed_chooses_other_questions() -> None:
    text = "main (float[1, n] x) => (float[1, n] y) <float a = {%r}> { y = Pow (x, a) }"
    one, other = (score(text % 2.0, text % 4.0, seed=seed).error for seed in (0, 1))
    assert one != other


def test_a_value_is_fed_as_it_is() -> None:
    text = """main (float[1, n] x, int64 rate) => (float[1, n] y) <int64 wide = {16000}> {
        is_wide = Equal (rate, wide)
        y = If (is_wide) <
            then_branch = then () => (float[1, n] a) { f = Constant <value_float = %r> ()
                a = Mul (x, f) },
            else_branch = else () => (float[1, n] b) { b = Identity (x) } > }"""
    assert score(text % 1.0, text % 2.0).error == 0.0
    assert score(text % 1.0, text % 2.0, values={"rate": 16_000}).error == pytest.approx(1.0)


def test_a_value_for_an_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no input 'rate'"):
        score(LINEAR % 1.0, LINEAR % 1.0, values={"rate": 1})


def test_shapes_are_kept() -> None:
    task = make_task({"family": "unknown", "shapes": {"x": [1, 7]}}, {})
    frames = task.reference(open_runner(model(LINEAR % 1.0)), Split.SEARCH)
    assert {feeds["x"].shape for feeds, _ in frames} == {(1, 7)}  # type: ignore[attr-defined]  # the frames of unknown


def test_nothing_lossy_without_a_limit() -> None:
    with pytest.raises(ConfigError, match="no error is small enough") as caught:
        _ = make_task({"family": "unknown"}, {}).limit
    assert "limit = 0.01" in caught.value.hint
    for asked in (0.5, {"error": 0.5}):
        assert make_task({"family": "unknown", "limit": asked}, {}).limit == Limit(error=0.5)


@pytest.mark.parametrize("options", [{"limit": "much"}, {"limits": 1.0}, {"shapes": {"x": "1"}}])
def test_a_wrong_option_is_named(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"task unknown: {next(iter(options))}"):
        make_task({"family": "unknown", **options}, {})


def test_a_family_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="no task family is called 'smell'") as caught:
        make_task({"family": "smell"}, {})
    assert "unknown" in caught.value.hint
