"""Reading ONNX files without loading them: against protobuf itself, and on files that lie."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import hostile
import numpy as np
import onnx
import pytest
import real
from onnx import TensorProto, helper, numpy_helper, parser

from toolchain.errors import FormatError
from toolchain.formats import onnx_model, onnx_wire
from toolchain.formats.model_inventory import Inventory

TEXT = """
<ir_version: 10, opset_import: ["" : 21, "com.acme" : 3], metadata_props: ["who": "us"]>
main (float[n, 4] x, bool flag, int64[1] steps) => (float[n, 4] y)
<float[4] w = {1, 2, 3, 4}, int64[1] steps = {3}> {
   c = Constant <value = float[4] {5, 6, 7, 8}> ()
   s = Add (w, c)
   z = com.acme.Twist (s)
   y = If (flag) <
      then_branch = a () => (float[n, 4] p) <float[4] inner = {9, 8, 7, 6}> { p = Mul (x, inner) },
      else_branch = b () => (float[n, 4] q) {
         k = Constant <value_ints = [1, 2]> ()
         q = Mul (x, z)
      }
   >
}
"""


def inventory(data: bytes) -> Inventory:
    return onnx_wire.inventory(memoryview(data))


def sample() -> bytes:
    """Return a model with every place in which a tensor can be."""
    model = parser.parse_model(TEXT)
    nodes = [helper.make_node("Constant", [], ["t"], value=helper.make_tensor("", 1, [2], [1, 2]))]
    function = helper.make_function("acme", "F", [], ["t"], nodes, [helper.make_opsetid("", 21)])
    model.functions.append(function)
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("values", 1, [1], [1.0]), helper.make_tensor("at", 7, [1], [3]), [9]
    )
    model.graph.sparse_initializer.append(sparse)
    return model.SerializeToString()


def odd_tensors() -> list[TensorProto]:
    nan = numpy_helper.from_array(np.array([np.nan, np.inf], np.float32), "nan")
    empty = numpy_helper.from_array(np.zeros((0, 4), np.float32), "empty")
    scalar = numpy_helper.from_array(np.array(7, np.int64), "scalar")
    text = helper.make_tensor("text", TensorProto.STRING, [2], [b"a", b"bc"])
    nibbles = helper.make_tensor("nibbles", TensorProto.INT4, [3], [1, -2, 3])
    raw_nibbles = TensorProto(name="raw", data_type=TensorProto.UINT4, dims=[3], raw_data=b"ab")
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [3], [1, 2, 3])
    return [nan, empty, scalar, text, nibbles, raw_nibbles, typed]


def test_finds_every_tensor_that_protobuf_finds_and_where_it_lies() -> None:
    data = sample()
    found = inventory(data)
    expected = [t.SerializeToString() for t in onnx_model.tensors(onnx.load_from_string(data))]
    assert len(expected) == 7
    bodies = [data[t.start : t.end] for t in found.tensors]
    for body in bodies:
        assert any(body.endswith(e) and len(body) - len(e) <= 3 for e in expected)
    assert {t.name for t in found.tensors} == {"w", "steps", "c", "inner", "t", "values", "at"}


def test_says_what_people_ask() -> None:
    facts = dict(inventory(sample()).facts())
    assert facts["opset"] == "ai.onnx 21, com.acme 3"
    assert facts["operators"] == "8: Constant 3, Mul 2, Add 1, If 1, com.acme:Twist 1"
    assert facts["inputs"] == "x float32[n, 4], flag bool[]"  # steps has a value of its own
    assert facts["outputs"] == "y float32[n, 4]"
    assert facts["metadata"] == "who"
    assert facts["parameters"] == "17"


def test_odd_numbers_are_counted_and_not_problems() -> None:
    graph = helper.make_graph([], "g", [], [], odd_tensors())
    found = inventory(helper.make_model(graph).SerializeToString())
    assert {t.name: t.elements for t in found.tensors} == {
        "nan": 2,
        "empty": 0,
        "scalar": 1,
        "text": 2,
        "nibbles": 3,
        "raw": 3,
        "typed": 3,
    }
    assert found.problems == []
    assert {t.name: t.dtype for t in found.tensors}["raw"] == "uint4"


@pytest.mark.parametrize("dims", [[2**40, 2**40], [-1], [5]])
def test_sizes_that_do_not_fit_their_bytes_are_problems(dims: list[int]) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=dims, raw_data=bytes(16))
    graph = helper.make_graph([], "g", [], [], [tensor])
    found = inventory(helper.make_model(graph).SerializeToString())
    (problem,) = found.problems
    assert "does not fit its 16 bytes" in problem
    assert found.tensors[0].elements == 0


@pytest.mark.parametrize(
    ("package", "member"),
    [
        ("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx"),
        ("pypi:hibari-tts==0.2.1", "hibari/assets/hibari.onnx"),
    ],
)
def test_real_models_hold_what_protobuf_says(package: str, member: str) -> None:
    path = real.file(package, member)
    found = inventory(path.read_bytes())
    model = onnx.load(path)
    expected = list(onnx_model.tensors(model))
    assert len(found.tensors) == len(expected)
    assert sum(t.elements for t in found.tensors) == sum(
        numpy_helper.to_array(t).size for t in expected
    )
    assert found.operators.total() == sum(1 for _ in onnx_model.nodes(model))
    assert found.problems == []
    assert len(found.ranges()) == len(expected) - sum(not t.ByteSize() for t in expected)


def test_every_cut_is_refused_or_ends_between_fields() -> None:
    data = sample()
    reference = onnx.ModelProto()
    for end in range(len(data)):
        try:
            inventory(data[:end])
        except FormatError as error:
            assert 0 <= error.offset <= end  # noqa: PT017 - the rest of the loop is for the others
        else:
            reference.ParseFromString(data[:end])  # protobuf, too, sees whole fields
            assert reference.HasField("graph")


def test_damaged_files_are_refused_or_stay_inside() -> None:
    def check(found: Inventory, data: bytes) -> None:
        ranges = found.ranges()
        assert all(0 <= t.start < t.end <= len(data) for t in ranges)
        assert all(a.end <= b.start for a, b in pairwise(ranges))
        found.facts()
        assert all(dict(t.facts())["read by"] for t in ranges)

    data = sample()
    assert hostile.refusals(inventory, hostile.flips(data, 2000), check) > 500
    assert hostile.refusals(inventory, hostile.overwrites(data, 1000), check) > 300


def field(number: int, body: bytes) -> bytes:
    size, prefix = len(body), b""
    while size > 0x7F:
        prefix += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + prefix + bytes([size]) + body


def nested(depth: int) -> bytes:
    """Return a graph in an attribute of a node of a graph, and so on."""
    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return field(7, graph)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "there is no graph, at byte 0"),
        (b"\x08\x0a", "there is no graph"),
        (b"\x3a\xff\xff\xff\xff\x7f", "runs past the end of its message at byte 0"),
        (b"\x3a" + b"\xff" * 11, "endless number"),
        (b"\x08", "a number runs past the end"),
        (b"\x3b\x00", "field 7 of wire type 3 at byte 0"),
        (b"\x00\x00", "field 0"),
        (b"this is a text file", "at byte"),
        (nested(40), "more than 32 graphs in one another"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        inventory(data)


def test_deep_but_honest_graphs_are_read() -> None:
    assert inventory(nested(30)).operators.total() == 30


def test_absurd_sizes_take_no_memory() -> None:
    tensor = field(5, b"\x08" + b"\xff" * 8 + b"\x7f" + b"\x10\x01")
    data = field(7, tensor * 100)
    tracemalloc.start()
    found = inventory(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.problems) == 100
    assert peak < 1_000_000


def test_packed_sizes_are_read_like_single_ones() -> None:
    one_by_one = field(5, b"\x08\x02\x08\x03\x10\x01" + field(9, bytes(24)))
    packed = field(5, field(1, b"\x02\x03") + b"\x10\x01" + field(9, bytes(24)))
    for tensor in (one_by_one, packed):
        (found,) = inventory(field(7, tensor)).tensors
        assert (found.shape, found.elements) == ((2, 3), 6)
