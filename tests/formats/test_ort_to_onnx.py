"""ORT files become ONNX again: every kind of graph, attribute and tensor, and nothing hostile."""

from __future__ import annotations

import struct

import flatbuffers
import hostile
import numpy as np
import onnx
import pytest
import real
import tiny_ort
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from toolchain.errors import FormatError, InputError
from toolchain.formats.onnx_model import graphs, nodes, serialized
from toolchain.formats.ort_to_onnx import to_onnx
from toolchain.verify import same_answers

HEAD = '<ir_version: 10, opset_import: ["" : 21, "ai.onnx.ml" : 3, "com.microsoft" : 1]>\n'

LOOPS = """main (float[3, 2] x, int64 times, bool keep) => (float[q, 2] y, seq(float[a, b]) all) {
   yes = Constant <value = bool {1}> ()
   start = Constant <value = float[2] {1, 2}> ()
   none = SequenceEmpty <dtype = 1> ()
   all = SequenceInsert (none, x)
   a = Loop (times, yes, start) <
      body = step (int64 i, bool go, float[2] v) => (bool on, float[2] w)
      <float[2] b = {0.5, 0.25}> {
         on = Identity (go)
         w = If (keep) <
            then_branch = t () => (float[2] p) { p = Add (v, b) },
            else_branch = e () => (float[2] r) { r = Mul (v, b) }
         >
      }
   >
   s, ys = Scan (a, x) <
      num_scan_inputs = 1,
      body = row (float[2] c, float[2] d) => (float[2] e, float[2] f) {
         e = Add (c, d)
         f = Relu (e)
      }
   >
   y = Identity (ys)
}"""


def same(model: ModelProto) -> ModelProto:
    """Return what becomes of ``model`` saved as ORT, once that is proved to be the same."""
    before = tiny_ort.saved(model.SerializeToString())
    after = to_onnx(before)
    onnx.checker.check_model(after)
    proof = same_answers.prove(before, serialized(after), {})
    assert proof.holds, proof.detail
    return after


def test_loops_scans_and_branches_inside_them_come_back() -> None:
    model = parser.parse_model(HEAD + LOOPS.replace(", seq(float[a, b]) all", ""))
    after = same(model)
    assert sum(1 for _ in graphs(after.graph)) == 5
    assert {n.op_type for n in nodes(after)} >= {"Loop", "Scan", "If", "Mul"}


def test_a_sequence_keeps_its_type() -> None:
    output = to_onnx(tiny_ort.of(HEAD + LOOPS)).graph.output[1]
    assert output.type.sequence_type.elem_type.tensor_type.elem_type == TensorProto.FLOAT


def test_a_map_keeps_its_type() -> None:
    text = """main (float[1, 2] x) => (seq(map(int64, float)) y) {
       y = ai.onnx.ml.ZipMap <classlabels_int64s = [4, 5]> (x)
    }"""
    after = to_onnx(tiny_ort.of(HEAD + text))
    kind = after.graph.output[0].type.sequence_type.elem_type.map_type
    assert (kind.key_type, kind.value_type.tensor_type.elem_type) == (7, 1)
    assert list(after.graph.node[0].attribute[0].ints) == [4, 5]


def test_attributes_of_every_form_come_back() -> None:
    text = """main (int64[n] x) => (float[n] y) {
       y = ai.onnx.ml.LabelEncoder <keys_int64s = [1, 2], values_floats = [0.1, -1e30],
          default_float = 7.5> (x)
    }"""
    (node,) = same(parser.parse_model(HEAD + text)).graph.node
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    assert found["keys_int64s"] == [1, 2]
    assert found["values_floats"] == pytest.approx([0.1, -1e30], rel=1e-7)
    words = """main (string[n] x) => (int64[n] y) {
       y = ai.onnx.ml.LabelEncoder <keys_strings = ["a", "b"], values_int64s = [1, -2]> (x)
    }"""
    (node,) = to_onnx(tiny_ort.of(HEAD + words)).graph.node
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    assert found["keys_strings"] == [b"a", b"b"]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[np.nan, np.inf], [-0.0, 1e-45]], np.float32),
        np.array([1.5, -2], np.float16),
        np.array([2**62, -1]),
        np.array([True, False]),
        np.zeros((0, 3), np.float32),
        np.array(3, np.uint8),
        np.array(["a", "\u00e9", ""], np.object_),
    ],
    ids=lambda v: v.dtype.name,
)
def test_weights_of_every_type_come_back_bit_by_bit(values: np.ndarray) -> None:
    tensor = numpy_helper.from_array(values, "w")
    node = helper.make_node("Identity", ["w"], ["y"])
    output = helper.make_tensor_value_info("y", tensor.data_type, values.shape)
    graph = helper.make_graph([node], "g", [], [output], [tensor])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    (found,) = to_onnx(tiny_ort.saved(model.SerializeToString())).graph.initializer
    array = numpy_helper.to_array(found)
    assert array.shape == values.shape
    if values.dtype == np.object_:
        assert found.string_data == [str(v).encode() for v in values]
    else:
        assert array.tobytes() == values.tobytes()


def test_a_sparse_tensor_keeps_values_and_places() -> None:
    values = numpy_helper.from_array(np.array([2, 3], np.float32), "w")
    places = numpy_helper.from_array(np.array([1, 4]), "w_places")
    node = helper.make_node("Add", ["x", "w"], ["y"])
    ends = [helper.make_tensor_value_info(name, 1, [6]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [6]))
    after = same(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    )
    (sparse,) = after.graph.sparse_initializer
    assert list(sparse.dims) == [6]
    assert numpy_helper.to_array(sparse.values).tolist() == [2, 3]
    assert numpy_helper.to_array(sparse.indices).tolist() == [1, 4]


def test_what_is_said_about_the_model_is_kept() -> None:
    model = parser.parse_model(HEAD + "main (float[1] x) => (float[1] y) { y = Neg (x) }")
    model.producer_name, model.producer_version, model.domain = "us", "2", "org.us"
    model.model_version, model.doc_string, model.graph.doc_string = 7, "model", "graph"
    helper.set_model_props(model, {"rate": "16000"})
    after = same(model)
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        assert getattr(after, field) == getattr(model, field)
    assert after.graph.doc_string == "graph"
    assert list(after.metadata_props) == list(model.metadata_props)


def test_four_bits_a_number_stay_packed() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.INT4, dims=[3], raw_data=b"\x21\x0f")
    nodes_ = [
        helper.make_node("Constant", [], ["s"], value_float=0.5),
        helper.make_node("DequantizeLinear", ["w", "s"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes_, "g", [], [helper.make_tensor_value_info("y", 1, [3])], [tensor]
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    after = to_onnx(tiny_ort.saved(model.SerializeToString()))
    assert {t.name: t.raw_data for t in after.graph.initializer}["w"] == b"\x21\x0f"


@pytest.mark.parametrize("opset", [7, 9, 12, 15])
def test_old_models_lose_no_weight_and_gain_no_input(opset: int) -> None:
    text = f"""<ir_version: 3, opset_import: ["" : {opset}]>
    main (float[n, 2] x, float[2, 2] w) => (float[n, 2] y) <float[2, 2] w = {{1, 2, 3, 4}}> {{
       y = MatMul (x, w)
    }}"""
    after = to_onnx(tiny_ort.of(text))
    assert [v.name for v in after.graph.input] == ["x"]
    assert [t.name for t in after.graph.initializer] == ["w"]
    assert after.ir_version == 4
    assert same_answers.prove(tiny_ort.of(text), serialized(after), {}).holds


def test_fused_models_stay_fused_and_nodes_stand_in_order() -> None:
    """What onnxruntime fuses it appends, so a saved graph is out of order."""
    data = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx")
    before = tiny_ort.saved(data.read_bytes(), level="ORT_ENABLE_EXTENDED")
    after = to_onnx(before)
    onnx.checker.check_model(after)
    assert "FusedConv" in {n.op_type for n in nodes(after)}
    assert same_answers.prove(before, serialized(after), {}).holds


def written(builder: flatbuffers.Builder, offsets: dict[int, int], **numbers: int) -> int:
    """Write a table: offsets by slot, and int32 ``slot_6=1``."""
    slots = {int(name.removeprefix("slot_")): value for name, value in numbers.items()}
    builder.StartObject(max([*offsets, *slots], default=-1) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in slots.items():
        builder.PrependInt32Slot(slot, value, 0)
    return int(builder.EndObject())


def vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def finished(builder: flatbuffers.Builder, graph: int) -> bytes:
    builder.Finish(written(builder, {1: written(builder, {7: graph})}), file_identifier=b"ORTM")
    return bytes(builder.Output())


def one_node(*, domain: str = "", **numbers: int) -> bytes:
    builder = flatbuffers.Builder(256)
    strings = {2: builder.CreateString(domain), 5: builder.CreateString("Conv")}
    node = written(builder, strings, **numbers)
    return finished(builder, written(builder, {2: vector(builder, [node])}))


def one_attribute(**numbers: int) -> bytes:
    builder = flatbuffers.Builder(256)
    attribute = written(builder, {0: builder.CreateString("size")}, **numbers)
    node = written(builder, {10: vector(builder, [attribute])})
    return finished(builder, written(builder, {2: vector(builder, [node])}))


def weights_elsewhere() -> bytes:
    builder = flatbuffers.Builder(256)
    name = builder.CreateString("w")
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependInt64Slot(6, 4096, -1)
    tensor = int(builder.EndObject())
    return finished(builder, written(builder, {0: vector(builder, [tensor])}))


def copied_often(count: int) -> bytes:
    """Return a file in which ``count`` attributes share one tensor of 100,000 bytes."""
    builder = flatbuffers.Builder(256)
    data = builder.CreateByteVector(bytes(100_000))
    tensor = written(builder, {4: data}, slot_3=2)
    attributes = [written(builder, {6: tensor}, slot_2=4) for _ in range(count)]
    node = written(builder, {10: vector(builder, attributes)})
    return finished(builder, written(builder, {2: vector(builder, [node])}))


def deep(levels: int) -> bytes:
    builder = flatbuffers.Builder(256)
    graph = written(builder, {})
    for _ in range(levels):
        attribute = vector(builder, [written(builder, {7: graph}, slot_2=5)])
        graph = written(builder, {2: vector(builder, [written(builder, {10: attribute})])})
    return finished(builder, graph)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ORT model at byte 0"),
        (struct.pack("<I4sHHi", 12, b"ORTM", 4, 4, 4), "no graph"),
        (one_node(domain="com.microsoft.nchwc"), "saved for one machine: Conv"),
        (one_node(domain="com.ms.internal.nhwc"), "saved for one machine"),
        (one_node(slot_6=1), "saved for one machine"),
        (one_node(), "says no version of the operators of 'ai.onnx'"),
        (one_attribute(slot_2=99), "attribute 'size' is of type 99 at byte"),
        (one_attribute(slot_2=4), "a part that must be there is not at byte"),
        (weights_elsewhere(), "weights of 'w' lie in a file"),
        (copied_often(100), "over and over"),
        (deep(30), "more than 24 graphs"),
    ],
)
def test_what_cannot_come_back_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_onnx(data)


SAMPLE = tiny_ort.of(HEAD + LOOPS)


def readable(model: ModelProto, data: bytes) -> None:
    assert len(serialized(model)) < 4 * len(data)


def test_every_cut_is_refused_or_loses_nothing() -> None:
    whole = serialized(to_onnx(SAMPLE))
    for end in range(len(SAMPLE)):
        try:
            after = to_onnx(SAMPLE[:end])
        except InputError:
            continue
        assert serialized(after) == whole


def test_damaged_files_are_refused_or_become_a_model_of_their_size() -> None:
    def read(data: bytes) -> ModelProto:
        try:
            return to_onnx(data)
        except FormatError:
            raise
        except InputError as error:  # circles, unknown versions: refused without an offset
            raise FormatError(str(error), 0) from error

    assert hostile.refusals(read, hostile.flips(SAMPLE, 800), readable) > 200
    assert hostile.refusals(read, hostile.overwrites(SAMPLE, 400), readable) > 100
