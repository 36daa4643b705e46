"""Reading ORT files: against onnxruntime's own reader, and on files that lie."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import flatbuffers
import hostile
import numpy as np
import onnxruntime
import pytest
import real
from onnx import parser
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py import fbs

from toolchain.errors import FormatError
from toolchain.formats import ort_model
from toolchain.formats.model_inventory import Inventory
from toolchain.formats.onnx_session import run, session

TEXT = """
<ir_version: 10, opset_import: ["" : 21]>
main (float[n, 4] x, bool flag) => (float[n, 4] y) <float[4] w = {1, 2, 3, 4}, int64[0] none = {}> {
   s = Add (x, w)
   y = If (flag) <
      then_branch = a () => (float[n, 4] p) <float[4] inner = {9, 8, 7, 6}> { p = Mul (s, inner) },
      else_branch = b () => (float[n, 4] q) { q = Relu (s) }
   >
}
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an ORT file that onnxruntime wrote."""
    path = tmp_path_factory.mktemp("ort") / "sample.ort"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(parser.parse_model(TEXT).SerializeToString(), options)
    return path.read_bytes()


def inventory(data: bytes) -> Inventory:
    return ort_model.inventory(memoryview(data))


def reference(graph: Any) -> tuple[list[tuple[str, int, int]], int]:  # noqa: ANN401 - generated code has no types
    """Return (name, elements, bytes) of all tensors and the number of nodes, by generated code."""
    tensors = [("", graph.Initializers(i)) for i in range(graph.InitializersLength())]
    count = graph.NodesLength()
    found = []
    for i in range(graph.NodesLength()):
        node = graph.Nodes(i)
        for k in range(node.AttributesLength()):
            attribute = node.Attributes(k)
            if attribute.T():
                tensors.append((node.Name().decode(), attribute.T()))
            if attribute.G():
                more, inner = reference(attribute.G())
                found += more
                count += inner
    for owner, tensor in tensors:
        dims = [tensor.Dims(k) for k in range(tensor.DimsLength())]
        found.append((tensor.Name().decode() or owner, int(np.prod(dims)), tensor.RawDataLength()))
    return found, count


def generated(data: bytes) -> tuple[list[tuple[str, int, int]], int]:
    root = fbs.InferenceSession.InferenceSession.GetRootAs(bytearray(data), 0)
    tensors, count = reference(root.Model().Graph())
    return sorted(tensors), count


def ours(data: bytes) -> tuple[list[tuple[str, int, int]], int]:
    found = inventory(data)
    tensors = [(t.name, t.elements, max(0, t.end - t.start - 4)) for t in found.tensors]
    assert found.problems == []
    return sorted(tensors), found.operators.total()


def test_finds_what_the_generated_reader_finds(sample: bytes) -> None:
    assert ours(sample) == generated(sample)
    assert ("inner", 4, 16) in ours(sample)[0]


def test_the_range_of_a_tensor_is_its_length_and_its_numbers(sample: bytes) -> None:
    tensor = next(t for t in inventory(sample).tensors if t.name == "w")
    assert sample[tensor.start : tensor.end] == struct.pack("<I4f", 16, 1, 2, 3, 4)


def test_says_what_people_ask(sample: bytes) -> None:
    facts = dict(inventory(sample).facts())
    assert facts["inputs"] == "x float32[n, 4], flag bool[]"
    assert facts["outputs"] == "y float32[n, 4]"
    assert facts["operators"] == "4: Add 1, If 1, Mul 1, Relu 1"
    assert "ai.onnx 21" in facts["opset"]


def test_onnxruntime_opens_the_same_file(sample: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.ort"
    path.write_bytes(sample)
    outputs = run(session(path), {"x": np.ones((1, 4), np.float32), "flag": np.array(True)})  # noqa: FBT003 - the value of the input
    np.testing.assert_array_equal(outputs["y"], [[18, 24, 28, 30]])


@pytest.mark.parametrize("member", ["encoder_model.ort", "decoder_model_merged.ort"])
def test_real_models_hold_what_the_generated_reader_says(member: str) -> None:
    path = real.file("pypi:moonshine-voice==0.0.73", f"moonshine_voice/assets/tiny-en/{member}")
    data = path.read_bytes()
    assert ours(data) == generated(data)


def test_damaged_files_are_refused_or_stay_inside(sample: bytes) -> None:
    def check(found: Inventory, data: bytes) -> None:
        ranges = found.ranges()
        assert all(0 < t.start < t.end <= len(data) for t in ranges)
        assert all(a.end <= b.start for a, b in pairwise(ranges))
        found.facts()
        assert all(dict(t.facts())["read by"] for t in ranges)

    assert hostile.refusals(inventory, hostile.flips(sample, 2000), check) > 200
    assert hostile.refusals(inventory, hostile.overwrites(sample, 1500), check) > 300


def test_every_cut_is_an_error_or_loses_nothing_that_was_read(sample: bytes) -> None:
    whole = len(inventory(sample).tensors)
    for end in range(len(sample)):
        try:
            found = inventory(sample[:end])
        except FormatError as error:
            assert 0 <= error.offset <= end  # noqa: PT017 - the rest of the loop is for the others
        else:
            assert len(found.tensors) == whole
            assert all(t.end <= end for t in found.tensors)


def written(builder: flatbuffers.Builder, slots: dict[int, int]) -> int:
    """Write a table of offsets, by slot."""
    builder.StartObject(max(slots, default=-1) + 1)
    for slot, offset in slots.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return int(builder.EndObject())


def vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in offsets:
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def test_a_web_of_shared_vectors_is_refused_in_time() -> None:
    """3000 nodes that share a vector of 3000 attributes are nine million steps in 50 kB."""
    builder = flatbuffers.Builder(1024)
    attributes = vector(builder, [written(builder, {})] * 3000)
    nodes = vector(builder, [written(builder, {10: attributes}) for _ in range(3000)])
    model = written(builder, {7: written(builder, {2: nodes})})
    builder.Finish(written(builder, {1: model}), file_identifier=b"ORTM")
    data = bytes(builder.Output())
    assert len(data) < 100_000
    with pytest.raises(FormatError, match="over and over"):
        inventory(data)


def test_graphs_in_one_another_without_end_are_refused() -> None:
    builder = flatbuffers.Builder(1024)
    graph = written(builder, {})
    for _ in range(40):
        attribute = vector(builder, [written(builder, {7: graph})])
        node = vector(builder, [written(builder, {10: attribute})])
        graph = written(builder, {2: node})
    builder.Finish(written(builder, {1: written(builder, {7: graph})}), file_identifier=b"ORTM")
    with pytest.raises(FormatError, match="more than 32 graphs"):
        inventory(bytes(builder.Output()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ORT model at byte 0"),
        (b"\0\0\0\0ONNX", "not an ORT model"),
        (b"\xff\xff\xff\xffORTM", "outside the file"),
        (struct.pack("<I4sHHi", 12, b"ORTM", 4, 4, 4), "no graph"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        inventory(data)
