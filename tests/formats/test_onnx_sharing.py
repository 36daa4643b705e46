"""Equal and transposed weights: kept once, the same answers, and not too far from their readers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper, parser

from toolchain.formats import onnx_model
from toolchain.formats.onnx_session import run, session
from toolchain.formats.onnx_sharing import share_equal
from toolchain.formats.onnx_transposed import shared_weights

X = np.array([[1.0, -2.0, 3.0]], np.float32)
TIED = """<float[4, 2] rows = {1, 2, 3, 4, 5, 6, 7, 8},
    float[2, 4] columns = {1, 3, 5, 7, 2, 4, 6, 8}>"""
LARGE = "float[66, 1] w = {" + ", ".join(map(str, range(66))) + "}"


def model_of(body: str, stored: str = "") -> ModelProto:
    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        main (float[1, 3] x, bool on) => (float[p, q] y) {stored} {{ {body} }}"""
    )


def answers(model: ModelProto) -> list[np.ndarray]:
    opened = session(onnx_model.serialized(model))
    return [run(opened, {"x": X, "on": np.array(on)})["y"] for on in (True, False)]


def homes(model: ModelProto) -> list[int]:
    """Return how many large weights each graph holds, outer graphs first."""
    return [
        sum(t.ByteSize() > 256 for t in graph.initializer)
        for graph in onnx_model.graphs(model.graph)
    ]


def two_branches(then: str, other: str) -> str:
    return f"""y = If (on) <
        then_branch = a () => (float[p, q] r) <{LARGE}> {{ {then} }},
        else_branch = b () => (float[p, q] s) <{LARGE}> {{ {other} }}
    >"""


def test_branches_share_in_the_graph_around_them() -> None:
    model = model_of(two_branches("r = Add (x, w)", "s = Mul (x, w)"))
    expected = answers(model)
    assert homes(model) == [0, 1, 1]
    assert share_equal(model.graph)
    assert homes(model) == [1, 0, 0]
    onnx.checker.check_model(model)
    np.testing.assert_array_equal(answers(model), expected)
    assert not share_equal(model.graph)


def test_weights_of_one_name_and_other_numbers_do_not_meet() -> None:
    """The shared weight gets a name that the third branch's own weight does not have."""
    other = LARGE.replace("65}", "99}")
    body = f"""h = If (on) <
            then_branch = c () => (float[p, q] t) <{LARGE}> {{ t = Add (x, w) }},
            else_branch = d () => (float[p, q] u) <{other}> {{ u = Mul (x, w) }}
        >
        {two_branches("r = Add (h, w)", "s = Mul (h, w)")}"""
    model = model_of(body)
    expected = answers(model)
    share_equal(model.graph)
    assert homes(model) == [1, 0, 1, 0, 0]
    onnx.checker.check_model(model)
    np.testing.assert_array_equal(answers(model), expected)


def test_no_weight_goes_two_graphs_away_from_its_reader() -> None:
    """Onnxruntime rearranges weights for the processor one graph out, but not two."""
    inner = f"""r = If (on) <
        then_branch = c () => (float[p, q] t) <{LARGE}> {{ t = Add (x, w) }},
        else_branch = d () => (float[p, q] u) {{ u = Neg (x) }}
    >"""
    model = model_of(
        f"""h = Add (x, w)
        y = If (on) <
            then_branch = a () => (float[p, q] r) {{ {inner} }},
            else_branch = b () => (float[p, q] s) {{ s = Abs (h) }}
        >""",
        f"<{LARGE}>",
    )
    expected = answers(model)
    assert homes(model) == [1, 0, 1, 0, 0]
    assert not share_equal(model.graph)
    assert homes(model) == [1, 0, 1, 0, 0]
    for before, after in zip(expected, answers(model), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_weight_that_a_graph_inside_reads_does_not_move_away_from_it() -> None:
    """In its branch it is one graph from its reader; in the main graph it would be two."""
    then = """r = If (on) <
        then_branch = c () => (float[p, q] t) { t = Add (x, w) },
        else_branch = d () => (float[p, q] u) { u = Neg (x) }
    >"""
    model = model_of(two_branches(then, "s = Mul (x, w)"))
    assert not share_equal(model.graph)
    assert homes(model) == [0, 1, 0, 0, 1]


def test_a_symmetric_weight_is_not_its_own_transpose() -> None:
    """Small copies in two branches stay where they are: nothing takes their place."""
    body = two_branches("r = MatMul (two, w)", "s = MatMul (w, two)")
    model = model_of(
        body.replace(LARGE, "float[2, 2] w = {1, 2, 2, 1}"), "<float[2, 2] two = {1, 0, 0, 2}>"
    )
    assert shared_weights(model, least_bytes=0) is None


def test_weights_of_convolutions_stay_beside_them() -> None:
    """Only there does onnxruntime rearrange them; both readers in one graph still share."""
    values = LARGE.partition("=")[2]
    w, v = f"float[1, 1, 66] w ={values}", f"float[1, 1, 66] v ={values}"
    pad = "c = Unsqueeze (x, two)  d = Pad (c, more)"
    shapes = "int64[1] two = {1}, int64[6] more = {0, 0, 40, 0, 0, 40}"
    then = f"""{pad} e = Conv (d, w) f = Conv (d, v) g = Add (e, f) r = Squeeze (g, two)"""
    other = f"""{pad} e = Conv (d, w) s = Squeeze (e, two)"""
    model = model_of(
        f"""y = If (on) <
        then_branch = a () => (float[p, q] r)
            <{w}, {v}, {shapes}> {{ {then} }},
        else_branch = b () => (float[p, q] s) <{w}, {shapes}> {{ {other} }}
    >"""
    )
    expected = answers(model)
    assert homes(model) == [0, 2, 1]
    assert share_equal(model.graph)
    assert homes(model) == [0, 1, 1]
    for before, after in zip(expected, answers(model), strict=True):
        np.testing.assert_array_equal(before, after)


def test_shapes_stay_beside_what_reads_them() -> None:
    stored = "<int64[2] w = {3, 1}>"
    model = model_of(
        two_branches("r = Reshape (x, w)", "s = Reshape (x, w)").replace(f"<{LARGE}>", stored)
    )
    assert not share_equal(model.graph)


BASE = {
    "p": np.arange(12, dtype=np.float32).reshape(3, 4),
    "q": np.arange(20, 32, dtype=np.float32).reshape(3, 4),
    "square": np.arange(9, dtype=np.float32).reshape(3, 3),
    "symmetric": np.float32([[1, 2, 3], [2, 4, 5], [3, 5, 6]]),
}
ARRAYS = {**BASE, "pT": BASE["p"].T, "qT": BASE["q"].T}
matrix = st.sampled_from(sorted(ARRAYS))
operation = st.sampled_from(["compute", "look up", "both"])


@settings(max_examples=60)
@given(st.lists(st.tuples(matrix, operation, st.booleans()), min_size=2, max_size=5))
def test_whatever_is_equal_or_transposed_is_kept_once(uses: list[tuple[str, str, bool]]) -> None:
    """Each use has a weight of its own, in the main graph or in a branch; some are the same."""
    model = with_uses(uses)
    before = answers(model)
    after = shared_weights(model, least_bytes=0)
    if after is not None:
        onnx.checker.check_model(after)
        for old, new in zip(before, answers(after), strict=True):
            np.testing.assert_array_equal(old, new)
        model = after
    for graph in onnx_model.graphs(model.graph):
        floats = [numpy_helper.to_array(t) for t in graph.initializer if t.data_type == 1]
        seen = {content(array) for array in floats}
        assert len(seen) == len(floats), "a graph holds equal weights"
        turned = {content(a.T) for a in floats if not np.array_equal(a, a.T)}
        assert not seen & turned, "a graph holds a weight and its transpose"


def content(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes() + bytes(array.shape)


def with_uses(uses: list[tuple[str, str, bool]]) -> ModelProto:
    """Return a model in which each use of a weight adds a number to the output."""
    make = onnx.helper.make_node
    model = model_of("zero = Constant <value = int64[1] {0}> () y = Neg (x)")
    del model.graph.node[1:]
    results = []
    for number, (kind, how, inside) in enumerate(uses):
        array = np.ascontiguousarray(ARRAYS[kind])
        weight = numpy_helper.from_array(array, f"w{number}")
        nodes = use(number, how, array.shape)
        results.append(f"o{number}" if inside else f"r{number}")
        if inside:
            result = onnx.ValueInfoProto(name=f"r{number}")
            branch = onnx.helper.make_graph(nodes, f"b{number}", [], [result], [weight])
            nodes = [make("If", ["on"], [results[-1]], then_branch=branch, else_branch=branch)]
        else:
            model.graph.initializer.append(weight)
        model.graph.node.extend(nodes)
    model.graph.node.append(make("Concat", results, ["flat"], axis=0))
    model.graph.node.append(make("Unsqueeze", ["flat", "zero"], ["y"]))
    return model


def use(number: int, how: str, shape: tuple[int, ...]) -> list[onnx.NodeProto]:
    """Return nodes that read the weight ``w{number}`` and give a list of numbers, ``r{number}``."""
    make, name = onnx.helper.make_node, f"w{number}"
    total = make("ReduceSum", [f"m{number}", "zero"], [f"r{number}"], keepdims=0)
    look = make("Gather", [name, "zero"], [f"l{number}"])
    multiply = make("MatMul", [f"l{number}", name], [f"m{number}"])
    if how == "look up":
        return [make("Gather", [name, "zero"], [f"m{number}"]), total]
    if how == "both" and shape[0] == shape[1]:
        return [look, multiply, total]
    return [make("Relu", [name], [f"m{number}"]), total]


def test_columns_are_looked_up_for_indices_of_any_rank() -> None:
    for ids, node in (("{2}", "[]"), ("{0, 3}", "[2]"), ("{0, 1, 2, 3, 0, -1}", "[2, 3]")):
        rank = "" if node == "[]" else node
        body = f"""ids = Constant <value = int64{rank} {ids}> ()
            some = Gather (rows, ids) h = ReduceSum <keepdims = 1> (some)
            g = MatMul (some, columns) f = ReduceSum <keepdims = 1> (g)
            e = Add (h, f) flat = Constant <value = int64[2] {{1, 1}}> () y = Reshape (e, flat)"""
        model = model_of(body, TIED)
        expected = answers(model)
        after = shared_weights(model, least_bytes=0)
        assert after is not None
        floats = [t.name for t in after.graph.initializer if t.data_type == 1]
        assert floats == ["columns"]
        np.testing.assert_array_equal(answers(after), expected)


@pytest.mark.parametrize("reader", ["ReduceSum (rows)", "Gather <axis = 1> (rows, ids)"])
def test_other_readers_than_lookups_of_rows_need_a_transpose(reader: str) -> None:
    body = f"""ids = Constant <value = int64[1] {{0}}> ()
        some = {reader} a = ReduceSum (some) b = ReduceSum (columns) y = Add (a, b)"""
    model = model_of(body, TIED)
    expected = answers(model)
    after = shared_weights(model, least_bytes=0)
    assert after is not None
    assert "Transpose" in [n.op_type for n in after.graph.node]
    np.testing.assert_array_equal(answers(after), expected)
