"""Nodes stand behind what they need, and in their old order where they can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser
from onnx.checker import check_model

from toolchain.errors import InputError
from toolchain.formats.onnx_order import sort_nodes

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'


def outputs(text: str) -> list[str]:
    model = parser.parse_model(HEAD + text)
    sort_nodes(model.graph)
    return [node.output[0] for node in model.graph.node]


@given(st.permutations(range(8)))
def test_any_order_becomes_one_that_onnx_allows(order: list[int]) -> None:
    lines = [f"v{i + 1} = Add (v{i}, v{i // 2})" for i in range(8)]
    model = parser.parse_model(
        f"{HEAD} m (float[1] v0) => (float[1] v8) {{ {' '.join(lines[i] for i in order)} }}"
    )
    sort_nodes(model.graph)
    check_model(model)
    assert [n.output[0] for n in model.graph.node] == [f"v{i + 1}" for i in range(8)]


def test_what_is_free_to_stand_anywhere_stands_where_it_was() -> None:
    text = "m (float[1] x) => (float[1] e) { a = Neg (x) b = Abs (x) e = Add (d, a) d = Exp (b) }"
    assert outputs(text) == ["a", "b", "d", "e"]


BRANCHES = """m (float[1] x, bool c) => (float[1] y) {
   y = If (c) <
      then_branch = s () => (float[1] y) { k = Neg (q) y = Neg (k) },
      else_branch = t () => (float[1] r) { r = Neg (p) p = Neg (x) }
   >
   k = Neg (x)
   q = Neg (k)
}"""


def test_a_branch_waits_for_what_it_takes_and_not_for_its_own_names() -> None:
    assert outputs(BRANCHES) == ["k", "q", "y"]  # the branch's own k and y are others
    model = parser.parse_model(HEAD + BRANCHES)
    sort_nodes(model.graph)
    branch = next(a.g for a in model.graph.node[-1].attribute if a.name == "else_branch")
    assert [node.output[0] for node in branch.node] == ["p", "r"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a = Add (x, b) b = Neg (a) y = Neg (b)", "circle: Add 'a' waits for its own result"),
        ("y = Neg (y)", "circle: Neg 'y'"),
        ("a = Neg (x) a = Abs (x) y = Neg (a)", "'a' is written by two nodes"),
    ],
)
def test_what_has_no_order_is_refused_by_name(body: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        outputs(f"m (float[1] x) => (float[1] y) {{ {body} }}")
