"""Binding inputs: whatever the graph, the outputs stay what they were."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, parser

from toolchain.formats import onnx_model
from toolchain.formats.onnx_session import run, session
from toolchain.formats.onnx_specialize import specialize

X = np.array([[1.0, -2.0, 3.0]], np.float32)


def model_of(body: str, *, inputs: str = "int64 rate", stored: str = "") -> ModelProto:
    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        main (float[1, n] x, {inputs}) => (float[1, m] y) {stored} {{ {body} }}"""
    )


def bound(model: ModelProto, **values: float) -> ModelProto:
    arrays = {name: np.array(value) for name, value in values.items()}
    after = specialize(model, arrays)
    onnx.checker.check_model(after)
    return after


def operators(model: ModelProto) -> list[str]:
    return sorted(node.op_type for node in onnx_model.nodes(model))


# A little language: expressions over x, constants and earlier values, and branches within branches
# on conditions that follow from the bound input (known) or from x (open).
leaf = st.sampled_from(
    ["Relu ({v})", "Neg ({v})", "Add ({v}, w)", "Mul ({v}, half)", "Identity ({v})"]
)
condition = st.sampled_from(["known", "not_known", "open"])
block = st.recursive(
    st.lists(leaf, min_size=1, max_size=3),
    lambda inner: st.lists(
        st.one_of(leaf, st.tuples(condition, inner, inner)), min_size=1, max_size=3
    ),
    max_leaves=12,
)


def text_of(block: list[object], source: str, names: list[int], *, end: str) -> str:
    """Return nodes that take ``source`` to ``end``; half of the names are used in every branch."""
    lines = []
    for position, item in enumerate(block):
        names[0] += 1
        shared = names[0] % 2 and position
        name = f"h{position}_{names[1]}" if shared else f"v{names[0]}"
        target = end if position == len(block) - 1 else name
        if isinstance(item, str):
            lines.append(f"{target} = {item.format(v=source)}")
        else:
            assert isinstance(item, tuple)
            kind, taken, other = item
            names[1] += 1  # a level deeper: names of the outer graph stay visible
            branches = []
            for attribute, inner in (("then_branch", taken), ("else_branch", other)):
                result = f"r{names[0]}_{attribute[:4]}"
                inside = text_of(inner, source, names, end=result)
                branches.append(
                    f"{attribute} = g{names[0]} () => (float[1, k] {result}) {{ {inside} }}"
                )
            names[1] -= 1
            lines.append(f"{target} = If ({kind}) <{', '.join(branches)}>")
        source = target
    return "\n".join(lines)


@settings(max_examples=150)
@given(block, st.sampled_from([8000, 16000]))
def test_outputs_are_the_same_bits_for_every_program(block: list[object], rate: int) -> None:
    body = f"""
        wanted = Constant <value = int64 {{16000}}> ()
        known = Equal (rate, wanted)
        not_known = Not (known)
        zero = Constant <value = float {{0}}> ()
        total = ReduceSum <keepdims = 0> (x)
        open = Greater (total, zero)
        {text_of(block, "x", [0, 0], end="y")}
    """
    stored = "<float[3] w = {1.5, 0.25, 2}, float half = {0.5}, float[3] w2 = {1.5, 0.25, 2}>"
    before = model_of(body, stored=stored)
    data = onnx_model.serialized(before)
    onnx.checker.check_model(before)
    after = onnx_model.serialized(bound(before, rate=rate))
    assert len(after) < len(data)
    left = onnx_model.load(after)
    assert [v.name for v in left.graph.input] == ["x"] or not any(
        "x" in n.input for n in left.graph.node
    )
    for x in (X, -X):
        expected = run(session(data), {"x": x, "rate": np.array(rate)})
        observed = run(session(after), {"x": x})
        assert expected["y"].tobytes() == observed["y"].tobytes()
    for node in onnx_model.nodes(left):
        assert node.op_type != "If" or node.input[0] == "open"


def test_nothing_that_is_known_stays() -> None:
    after = bound(
        model_of(
            """a = Cast <to = 1> (rate)
               b = Div (a, ten)
               s = Shape (w)
               n = Size (w)
               c = Constant <value_int = 2> ()
               d = Mul (n, c)
               e = Cast <to = 1> (d)
               f = Add (b, e)
               y = Mul (x, f)""",
            stored="<float ten = {10.0}, float[1, 3] w = {1, 2, 3}>",
        ),
        rate=70,
    )
    assert operators(after) == ["Mul"]
    outputs = run(session(onnx_model.serialized(after)), {"x": X})
    np.testing.assert_array_equal(outputs["y"], 13 * X)


def test_weights_are_not_blown_up_by_folding() -> None:
    """A stored int8 weight is a quarter of what Cast makes of it: the Cast stays."""
    numbers = ", ".join(["1"] * 3000)
    model = model_of(
        "f = Cast <to = 1> (w)  g = ReduceSum <keepdims = 0> (f)  y = Mul (x, g)  z = Neg (rate)",
        stored=f"<int8[3000] w = {{{numbers}}}>",
    )
    assert "Cast" in operators(bound(model, rate=1))


def test_a_huge_constant_of_shape_is_left_to_the_runtime() -> None:
    model = model_of(
        "f = ConstantOfShape (s)  g = ReduceSum <keepdims = 0> (f)  y = Mul (x, g)  z = Neg (rate)",
        stored="<int64[2] s = {3000, 3000}>",
    )
    assert operators(bound(model, rate=1)) == ["ConstantOfShape", "Mul", "ReduceSum"]


def test_equal_weights_of_two_branches_are_kept_once() -> None:
    stored = f"float[22, 3] w = {{{', '.join(map(str, range(66)))}}}"
    model = model_of(
        f"""zero = Constant <value = float {{0}}> ()
           total = ReduceSum <keepdims = 0> (x)
           open = Greater (total, zero)
           y = If (open) <
             then_branch = a () => (float[22, k] p) <{stored}> {{ p = Add (x, w) }},
             else_branch = b () => (float[22, k] q) <{stored}> {{ q = Mul (x, w) }}
           >"""
    )
    after = bound(model, rate=1)
    weights = [t for t in onnx_model.tensors(after) if list(t.dims) == [22, 3]]
    assert len(weights) == 1
    for x in (X, -X):
        weight = np.arange(66, dtype=np.float32).reshape(22, 3)
        expected = x + weight if x.sum() > 0 else x * weight
        outputs = run(session(onnx_model.serialized(after)), {"x": x})
        np.testing.assert_array_equal(outputs["y"], expected)


def test_weights_of_one_name_and_other_numbers_stay_apart() -> None:
    model = model_of(
        """zero = Constant <value = float {0}> ()
           total = ReduceSum <keepdims = 0> (x)
           open = Greater (total, zero)
           y = If (open) <
             then_branch = a () => (float[1, k] p) <float[3] w = {1, 2, 3}> { p = Add (x, w) },
             else_branch = b () => (float[1, k] q) <float[3] w = {4, 5, 6}> { q = Add (x, w) }
           >"""
    )
    after = session(onnx_model.serialized(bound(model, rate=1)))
    np.testing.assert_array_equal(run(after, {"x": X})["y"], X + np.float32([1, 2, 3]))
    np.testing.assert_array_equal(run(after, {"x": -X})["y"], -X + np.float32([4, 5, 6]))


def test_branches_may_end_in_constants_that_a_node_gives() -> None:
    model = model_of(
        """zero = Constant <value = float {0}> ()
           total = ReduceSum <keepdims = 0> (x)
           open = Greater (total, zero)
           y = If (open) <
             then_branch = a () => (float[1, k] p) { p = Add (w, w) },
             else_branch = b () => (float[1, k] q) { q = Constant <value = float[1, 1] {7}> () }
           >""",
        stored="<float[1, 2] w = {1, 2}>",
    )
    made = bound(model, rate=1)
    assert all(graph.node for graph in onnx_model.graphs(made.graph))
    after = session(onnx_model.serialized(made))
    np.testing.assert_array_equal(run(after, {"x": X})["y"], [[2, 4]])
    np.testing.assert_array_equal(run(after, {"x": -X})["y"], [[7]])


def test_an_output_and_its_copy_stay_two_outputs() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        main (float[1, n] x, int64 rate) => (float[1, n] y, float[1, n] z, float[1, n] same) {
           y = Neg (x)  z = Identity (y)  same = Identity (z) }"""
    )
    outputs = run(session(onnx_model.serialized(bound(model, rate=9))), {"x": X})
    assert {name: value.tolist() for name, value in outputs.items()} == dict.fromkeys(
        ("y", "z", "same"), (-X).tolist()
    )


def test_a_value_that_a_caller_may_override_is_no_constant() -> None:
    model = model_of(
        "on = Equal (rate, wanted)  y = If (on) <"
        "then_branch = a () => (float[1, k] p) { p = Neg (x) },"
        " else_branch = b () => (float[1, k] q) { q = Relu (x) }>",
        inputs="int64 rate, int64 wanted",
        stored="<int64 wanted = {16000}>",
    )
    after = bound(model, rate=16000)
    assert "If" in operators(after)
    assert [v.name for v in after.graph.input] == ["x", "wanted"]


def test_functions_that_nobody_calls_any_more_go() -> None:
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 17, "own" : 1]>
        main (float[1, n] x, bool on) => (float[1, m] y) {
           y = If (on) <then_branch = a () => (float[1, k] p) { p = own.Used (x) },
                        else_branch = b () => (float[1, k] q) { q = own.Unused (x) }>
        }
        <domain: "own", opset_import: ["" : 17, "own" : 1]> Used (a) => (b) { b = own.Inner (a) }
        <domain: "own", opset_import: ["" : 17]> Inner (a) => (b) { b = Neg (a) }
        <domain: "own", opset_import: ["" : 17]> Unused (a) => (b) { b = Relu (a) }"""
    )
    after = bound(model, on=True)
    assert [f.name for f in after.functions] == ["Used", "Inner"]
    np.testing.assert_array_equal(run(session(onnx_model.serialized(after)), {"x": X})["y"], -X)


def test_an_output_that_is_the_bound_value_stays_an_output() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        main (float[1, n] x, int64 rate) => (float[1, n] y, int64 same) {
           y = Neg (x)  same = Identity (rate) }"""
    )
    outputs = run(session(onnx_model.serialized(bound(model, rate=9))), {"x": X})
    assert outputs["same"] == 9


def test_a_node_that_would_fail_is_left_where_it_is() -> None:
    """The branch not taken divides by nothing, reshapes what does not fit: that is its affair."""
    model = model_of(
        """zero = Constant <value = float {0}> ()
           total = ReduceSum <keepdims = 0> (x)
           open = Greater (total, zero)
           y = If (open) <
             then_branch = a () => (float[1, k] p) { p = Neg (x) },
             else_branch = b () => (float[1, k] q) { r = Reshape (w, s)  q = Add (x, r) }
           >""",
        stored="<float[3] w = {1, 2, 3}, int64[1] s = {7}>",
    )
    after = bound(model, rate=1)
    assert "Reshape" in operators(after)
    np.testing.assert_array_equal(run(session(onnx_model.serialized(after)), {"x": X})["y"], -X)


@pytest.mark.parametrize("kind", ["Loop", "Scan"])
def test_branches_in_loop_bodies_are_taken(kind: str) -> None:
    inner = """w = If (on) <then_branch = t () => (float[1, k] p) { p = Add (v, v) },
                            else_branch = e () => (float[1, k] q) { q = Identity (v) }>"""
    loop = f"""times = Constant <value = int64 {{3}}> ()
        yes = Constant <value = bool {{1}}> ()
        y = Loop (times, yes, x) <
            body = step (int64 i, bool go, float[1, k] v) => (bool c, float[1, k] w) {{
                c = Identity (go) {inner} }}>"""
    scan = f"""items = Constant <value = float[3] {{1, 2, 3}}> ()
        y, sums = Scan <num_scan_inputs = 1, body = step (float[1, k] v, float item) =>
            (float[1, k] w, float s) {{ s = Neg (item) {inner} }}> (x, items)"""
    after = bound(model_of(loop if kind == "Loop" else scan, inputs="bool on"), on=True)
    assert "If" not in operators(after)
    np.testing.assert_array_equal(run(session(onnx_model.serialized(after)), {"x": X})["y"], 8 * X)
