"""Durations can be decided from outside, in any graph that sums them up."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from toolchain.errors import FormatError, InputError
from toolchain.formats.onnx_durations import (
    FORCE,
    FORCED,
    ROUNDED,
    UNROUNDED,
    with_forced_durations,
)
from toolchain.formats.onnx_runner import open_runner

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
VOICE = """main (float[1, n] wish) => (float[1, n] ends) <float least = {1.0}, int64 axis = {1}> {
    whole = Ceil (wish)
    long = Max (whole, least)
    ends = CumSum (long, axis)
}"""


def model(text: str) -> bytes:
    data: bytes = parser.parse_model(f"{HEAD} {text}").SerializeToString()
    return data


def run(data: bytes, *, force: bool, forced: list[list[float]]) -> dict[str, list[float]]:
    feeds = {
        "wish": np.array([[0.2, 1.5, 3.0]], np.float32),
        FORCE: np.array([force]),
        FORCED: np.array(forced, np.float32),
    }
    return {name: value.ravel().tolist() for name, value in open_runner(data).run(feeds).items()}


def test_a_free_model_says_what_it_would_like_and_what_it_takes() -> None:
    found = run(with_forced_durations(model(VOICE)), force=False, forced=[[0.0]])
    assert found["ends"] == [1.0, 3.0, 6.0]
    assert found[UNROUNDED] == pytest.approx([0.2, 1.5, 3.0])
    assert found[ROUNDED] == [1.0, 2.0, 3.0]


def test_a_forced_model_takes_what_it_is_given_and_still_says_what_it_would_like() -> None:
    found = run(with_forced_durations(model(VOICE)), force=True, forced=[[5.0, 0.0, 1.0]])
    assert found["ends"] == [5.0, 6.0, 7.0]
    assert found[ROUNDED] == [1.0, 2.0, 3.0]


def test_what_is_rounded_but_not_summed_is_no_duration() -> None:
    extra = VOICE.replace("whole = Ceil", "grid = Round (wish) other = Exp (grid) whole = Ceil")
    found = run(with_forced_durations(model(extra)), force=False, forced=[[0.0]])
    assert found[ROUNDED] == [1.0, 2.0, 3.0]


TWO = VOICE.replace("whole = Ceil", "low = Floor (wish) sums = CumSum (low, axis) whole = Ceil")


def test_two_that_could_be_durations_are_named_and_one_can_be_chosen() -> None:
    with pytest.raises(InputError, match="2 rounded tensors could be durations: low, whole"):
        with_forced_durations(model(TWO))
    found = run(with_forced_durations(model(TWO), "low"), force=False, forced=[[0.0]])
    assert found[ROUNDED] == [0.0, 1.0, 3.0]


@pytest.mark.parametrize("name", ["", "whole", "nothing"])
def test_a_model_without_durations_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="0 rounded tensors"):
        with_forced_durations(
            model("main (float[n] x) => (float[n] whole) { whole = Neg (x) }"), name
        )


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(FormatError):
        with_forced_durations(b"nonsense")
