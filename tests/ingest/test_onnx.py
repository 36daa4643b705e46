"""What the graph learns about an ONNX model."""

from __future__ import annotations

from itertools import pairwise

import pytest
import real
from onnx import ModelProto, TensorProto, helper

from toolchain.errors import FormatError
from toolchain.formats.tensor_types import TYPE_NAMES
from toolchain.ingest import onnx
from toolchain.ingest.base import Contents, Reference
from toolchain.ir import ArtifactId, Kind, Relation


def stored(name: str, *numbers: float) -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, [len(numbers)], numbers)


def external(name: str, location: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def read(*tensors: TensorProto) -> Contents:
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    return onnx.read(memoryview(model.SerializeToString()))


class Files:
    """A project with two files."""

    names = ("models/m.onnx", "models/big/w.bin")

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def read(self, name: ArtifactId) -> bytes:
        """Return nothing."""
        raise AssertionError(name)

    def in_folder(self, folder: str) -> list[ArtifactId]:
        """Return nothing."""
        raise AssertionError(folder)

    def named(self, basename: str) -> list[ArtifactId]:
        """Return nothing."""
        raise AssertionError(basename)


def test_equal_and_strange_names_become_unique_and_printable() -> None:
    tensors = [stored(n, 1.0, 2.0) for n in ("w", "w", "a\nb", "", "x" * 1000)]
    parts = read(*tensors).parts
    assert [p.name for p in parts] == [
        "w",
        "w:2",
        "a\N{REPLACEMENT CHARACTER}b",
        "unnamed",
        "x" * 200,
    ]


def test_parts_do_not_overlap_and_hold_the_numbers() -> None:
    path = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx")
    data = path.read_bytes()
    parts = sorted(onnx.read(memoryview(data)).parts, key=lambda p: p.offset)
    assert all(a.offset + a.size <= b.offset for a, b in pairwise(parts))
    tensors = sum(p.size for p in parts if p.kind is Kind.TENSOR)
    assert 0.93 < tensors / len(data) < 1
    assert len({(p.kind, p.name) for p in parts}) == len(parts)


def test_weights_elsewhere_are_a_reference_each_file_once() -> None:
    contents = read(external("a", "w.bin"), external("b", "w.bin"), external("c", "big/v.bin"))
    assert contents.references == (
        Reference("big/v.bin", Relation.FETCH, "data"),
        Reference("w.bin", Relation.FETCH, "data"),
    )
    assert contents.problems == ()
    assert dict(contents.facts)["parameters"] == "12"


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "..\\w", ".", "a\0b"]
)
def test_a_location_outside_the_folder_is_a_problem_and_no_reference(location: str) -> None:
    contents = read(external("a", location))
    assert contents.references == ()
    assert "outside the model's folder" in contents.problems[0]


def test_external_weights_are_looked_for_beside_the_model() -> None:
    def found(target: str) -> list[ArtifactId]:
        reference = Reference(target, Relation.FETCH, "data")
        return onnx.resolve(reference, ArtifactId("models/m.onnx"), Files(), frozenset())

    assert found("big/w.bin") == ["models/big/w.bin"]
    assert found("./big//w.bin") == ["models/big/w.bin"]
    assert found("w.bin") == []


def test_metadata_is_a_part_of_its_own() -> None:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(model, {"tokens": "[1, 2]"})
    (part,) = onnx.read(memoryview(model.SerializeToString())).parts
    assert (part.kind, part.name) == (Kind.ENTRY, "tokens")


def test_quantization_is_recognized() -> None:
    path = real.file("pypi:hibari-tts==0.2.1", "hibari/assets/hibari.onnx")
    facts = dict(onnx.read(memoryview(path.read_bytes())).facts)
    assert facts["quantization"] == "dynamic int8"
    assert facts["weights"].startswith("int8 5.66 MB, float32 2.01 MB")


def test_every_tensor_says_its_type_its_shape_and_the_nodes_that_read_it() -> None:
    """Against protobuf, on a model without inner graphs."""
    data = real.file("pypi:hibari-tts==0.2.1", "hibari/assets/hibari.onnx").read_bytes()
    graph = ModelProto.FromString(data).graph
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for value in dict.fromkeys(node.input):
            readers.setdefault(value, []).append(f"{node.op_type} {node.name}")
    parts = {p.name: dict(p.facts) for p in onnx.read(memoryview(data)).parts}
    assert len(graph.initializer) == 296
    for tensor in graph.initializer:
        found = readers[tensor.name]
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        assert parts[tensor.name] == {
            "dtype": TYPE_NAMES[tensor.data_type],
            "shape": str(list(tensor.dims)),
            "read by": ", ".join(found[:3]) + more,
        }


def test_a_tensor_with_its_numbers_elsewhere_says_where() -> None:
    (part,) = read(external("a", "w.bin")).parts
    assert dict(part.facts) == {
        "dtype": "float32",
        "shape": "[4]",
        "stored in": "w.bin",
        "read by": "nothing",
    }


def test_text_is_not_a_model() -> None:
    with pytest.raises(FormatError, match="at byte"):
        onnx.read(memoryview(b"<html></html>"))
