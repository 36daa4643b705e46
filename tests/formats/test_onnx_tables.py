"""Inputs that choose rows of a stored table get all of its rows; sequences are asked longer too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, parser

from toolchain.formats.onnx_probes import longer_probes, runner_probes
from toolchain.formats.onnx_runner import open_runner
from toolchain.formats.onnx_tables import table_rows

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
TABLE = f"<float[5, 2] t = {{1,2,3,4,5,6,7,8,9,10}}, float[30] u = {{{','.join('1' * 30)}}}>"
SHAPED = """a = Cast <to = 6> (ids) s = Constant <value_ints = [-1]> () b = Reshape (a, s)
    y = Gather (t, b)"""


def model(text: str) -> ModelProto:
    parsed: ModelProto = parser.parse_model(f"{HEAD} main {text}")
    return parsed


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("y = Gather (t, ids)", {"ids": 5}),
        ("y = Gather <axis = 1> (t, ids)", {"ids": 2}),
        ("y = Gather <axis = -2> (t, ids)", {"ids": 5}),
        (SHAPED, {"ids": 5}),
        ("h = Cast <to = 10> (t) f = Cast <to = 1> (h) y = Gather (f, ids)", {"ids": 5}),
        ("a = Gather (t, ids) b = Gather (u, ids) y = Concat <axis = 0> (a, b)", {"ids": 5}),
        ("y = Gather (u, ids)", {"ids": 30}),
        ("one = Constant <value_ints = [1]> () a = Add (ids, one) y = Gather (t, a)", {}),
        ("c = Cast <to = 1> (ids) y = Gather (c, ids)", {}),
        ("y = Gather <axis = 7> (t, ids)", {}),
        ("y = Gather (t)", {}),
        ("y = Identity (ids)", {}),
    ],
)  # fmt: skip
def test_only_a_stored_table_says_how_many_rows_there_are(body: str, rows: dict[str, int]) -> None:
    assert table_rows(model(f"(int64[n] ids) => (float[m] y) {TABLE} {{ {body} }}")) == rows


def test_a_graph_that_goes_round_in_a_circle_is_walked_once() -> None:
    circle = "a = Identity (b) b = Identity (a) y = Gather (t, a)"
    assert table_rows(model(f"(int64[n] ids) => (float[m] y) {TABLE} {{ {circle} }}")) == {}


@pytest.mark.parametrize("from_file", [True, False])
def test_token_ids_are_drawn_from_the_whole_table(tmp_path: Path, *, from_file: bool) -> None:
    """Ids below eight would never touch most of what is quantized."""
    data = model(f"(int64[n] ids, int64[n] kind) => (float[n] y, int64[n] k) {TABLE} {{"
                 " y = Gather (u, ids) k = Identity (kind) }").SerializeToString()  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    runner = open_runner(path if from_file else data)
    probe = runner_probes(runner, {}, {"ids": (500,), "kind": (500,)}, limit=1)[0]
    frame = probe.frame(np.random.default_rng(0), 1)
    assert set(frame["ids"].tolist()) == set(range(30))
    assert set(frame["kind"].tolist()) == set(range(8))


def test_a_range_that_was_said_holds_for_integers_and_floats() -> None:
    runner = open_runner(
        model("(int64[n] i, float[n] x) => (int64[n] a, float[n] b)"
              " { a = Identity (i) b = Identity (x) }").SerializeToString()
    )  # fmt: skip
    ranges = {"i": (3, 5), "x": (0.5, 2.0)}
    shapes = {"i": (200,), "x": (200,)}
    probe = runner_probes(runner, {}, shapes, limit=1, ranges=ranges)[0]
    frame = probe.frame(np.random.default_rng(0), 0)
    assert set(frame["i"].tolist()) == {3, 4, 5}
    least, largest = float(frame["x"].min()), float(frame["x"].max())
    assert 0.5 <= least < 0.6
    assert 1.9 < largest <= 2.0


def test_each_open_size_is_asked_longer_where_the_model_runs_so() -> None:
    runner = open_runner(
        model("(float[batch, time] x, float[batch, 2] s) => (float[batch, time] y, float[b, 2] t)"
              " { y = Relu (x) t = Neg (s) }").SerializeToString()
    )  # fmt: skip
    smallest = runner_probes(runner, {}, {}, limit=1)[0]
    assert smallest.shapes == {"x": (1, 1), "s": (1, 2)}
    longer = longer_probes(runner, smallest, {}, {})
    assert [p.shapes for p in longer] == [
        {"x": (16, 1), "s": (16, 2)},
        {"x": (1, 16), "s": (1, 2)},
    ]


def test_a_size_that_is_given_or_does_not_run_is_not_longer() -> None:
    text = "(float[n, m] x) => (float[p] y) <float[1] w = {2}> { y = MatMul (x, w) }"
    runner = open_runner(model(text).SerializeToString())
    smallest = runner_probes(runner, {}, {}, limit=1)[0]
    assert [p.shapes["x"] for p in longer_probes(runner, smallest, {}, {})] == [(16, 1)]
    given = runner_probes(runner, {}, {"x": (3, 1)}, limit=1)[0]
    assert longer_probes(runner, given, {}, {"x": (3, 1)}) == []
