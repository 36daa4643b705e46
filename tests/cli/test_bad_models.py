"""``vtool optimize MODEL`` on models nobody should have made: refused, or smaller and right."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli.project import at_once, leftovers, vtool
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.formats.materializer import materialize
from toolchain.formats.onnx_runner import open_runner
from toolchain.tasks.base import Split, make_task

WIDTH = 48
LIMIT = 0.05

FIRST = helper.make_node("MatMul", ["x", "first"], ["a"])
RELU = helper.make_node("Relu", ["a"], ["b"])
LAST = helper.make_node("MatMul", ["b", "second"], ["y"])


def stored(name: str, numbers: object) -> TensorProto:
    return numpy_helper.from_array(np.asarray(numbers, np.float32), name)


def matrix(seed: int, rows: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH), np.float32)


def model(
    nodes: tuple[NodeProto, ...] = (FIRST, RELU, LAST), opset: int = 17, **tensors: TensorProto
) -> ModelProto:
    """Return a perceptron with other ``nodes``, and other or more ``tensors``."""
    weights = {"first": stored("first", matrix(1)), "second": stored("second", matrix(2))}
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", WIDTH])],
        list((weights | tensors).values()),
    )
    return helper.make_model(
        graph, ir_version=8 if opset < 21 else 10, opset_imports=[helper.make_opsetid("", opset)]
    )


# Refused


def renamed(operator: str, domain: str = "") -> ModelProto:
    """Return a model one of whose operators nobody has."""
    made = model((FIRST, helper.make_node(operator, ["a"], ["b"], domain=domain), LAST))
    if domain:
        made.opset_import.add(domain=domain, version=1)
    return made


def resized(rows: int) -> ModelProto:
    """Return a model with a weight whose numbers are not as many as its sizes say."""
    tensor = stored("second", matrix(2))
    tensor.dims[0] = rows
    return model(second=tensor)


def external(path: str) -> ModelProto:
    """Return a model one of whose weights lies in another file."""
    tensor = TensorProto(name="second", data_type=TensorProto.FLOAT, dims=[WIDTH, WIDTH])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=path)
    return model(second=tensor)


def circle() -> ModelProto:
    add = helper.make_node("Add", ["a", "y"], ["b"])
    return model((FIRST, add, LAST))


def one_name_for_two_results() -> ModelProto:
    return model((FIRST, helper.make_node("Relu", ["x"], ["a"]), RELU, LAST))


REFUSED = {
    "circle": (circle(), "acyclic"),
    "matrices that do not fit": (
        model(second=stored("second", matrix(2, WIDTH + 1))),
        "Incompatible dimensions",
    ),
    "too few numbers": (resized(WIDTH + 1), "cannot load"),
    "less than no numbers": (resized(-WIDTH), "cannot load"),
    "one name for two results": (one_name_for_two_results(), "Duplicate definition of name (a)"),
    "operator": (renamed("Sing"), "Sing"),
    "domain": (renamed("Twist", "com.acme"), "com.acme:Twist"),
    "missing file": (external("weights.bin"), "weights.bin"),
    "file outside": (external("../secret.bin"), "../secret.bin"),
    "file anywhere": (external("/secret.bin"), "/secret.bin"),
}


@pytest.mark.parametrize("pair", [list(REFUSED)[i : i + 2] for i in range(0, len(REFUSED), 2)])
def test_a_model_that_cannot_run_is_refused_and_nothing_is_written(
    tmp_path: Path, pair: list[str]
) -> None:
    home = tmp_path / "models"
    home.mkdir()
    (tmp_path / "secret.bin").write_bytes(matrix(2).tobytes())  # nobody may read this
    runs = []
    for number, case in enumerate(pair):
        onnx.save(REFUSED[case][0], home / f"m{number}.onnx")
        out = tmp_path / f"out{number}"
        runs.append(
            partial(vtool, "optimize", home / f"m{number}.onnx", "-o", out, "--error", LIMIT)
        )
    for number, ran in enumerate(at_once(*runs)):
        ran.refuses(3, f"m{number}.onnx", REFUSED[pair[number]][1])
        assert not (tmp_path / f"out{number}").exists()
    assert leftovers(tmp_path) == []


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def larger_than_protobuf(path: Path) -> None:
    """Write a valid model of 2 GiB that takes a page of the disk: its weight is a hole."""
    rows = 2**31 // (4 * WIDTH) + 1
    hole = rows * WIDTH * 4
    made = model((helper.make_node("MatMul", ["a", "w"], ["y"]), FIRST))
    graph = made.graph.SerializeToString()
    made.ClearField("graph")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[rows, WIDTH])
    start = tensor.SerializeToString() + b"\x4a" + varint(hole)  # raw_data
    start = graph + b"\x2a" + varint(len(start) + hole) + start  # initializer
    start = made.SerializeToString() + b"\x3a" + varint(len(start) + hole) + start  # graph
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + hole)


def test_a_model_beyond_two_gigabytes_is_refused_for_its_size(tmp_path: Path) -> None:
    larger_than_protobuf(tmp_path / "vast.onnx")
    ran = vtool("optimize", tmp_path / "vast.onnx", "-o", tmp_path / "out", "--error", LIMIT)
    ran.refuses(3, "vast.onnx", "bytes, more than can be read")
    assert not (tmp_path / "out").exists()


# Allowed


def without_numbers() -> ModelProto:
    join = helper.make_node("Concat", ["c", "none"], ["y"], axis=0)
    last = helper.make_node("MatMul", ["b", "second"], ["c"])
    return model((FIRST, RELU, last, join), none=stored("none", np.zeros((0, WIDTH))))


def of_four_bits() -> ModelProto:
    codes = np.random.default_rng(3).integers(-8, 8, WIDTH * WIDTH)
    read = helper.make_node("DequantizeLinear", ["codes", "step"], ["wide"])
    last = helper.make_node("MatMul", ["b", "wide"], ["y"])
    return model(
        (FIRST, RELU, read, last),
        opset=21,
        second=helper.make_tensor("codes", TensorProto.INT4, [WIDTH, WIDTH], codes.tolist()),
        step=stored("step", 0.1),
    )


def not_a_number() -> ModelProto:
    numbers = matrix(2)
    numbers[3, 4] = np.nan
    return model(second=stored("second", numbers))


def two_of_one_name() -> ModelProto:
    """Return what onnxruntime allows: it takes the last of both."""
    return model(again=stored("second", matrix(4)))


ALLOWED = {
    "weights without numbers": without_numbers,
    "four bits a number": of_four_bits,
    "not a number": not_a_number,
    "two weights of one name": two_of_one_name,
}


@pytest.mark.parametrize("pair", [list(ALLOWED)[:2], list(ALLOWED)[2:]])
def test_a_strange_model_that_runs_gets_smaller_within_the_limit(
    tmp_path: Path, pair: list[str]
) -> None:
    before = [ALLOWED[case]().SerializeToString() for case in pair]
    runs = []
    for number, data in enumerate(before):
        (tmp_path / f"m{number}.onnx").write_bytes(data)
        out = tmp_path / f"out{number}"
        runs.append(
            partial(vtool, "optimize", tmp_path / f"m{number}.onnx", "-o", out, "--error", LIMIT)
        )
    for number, ran in enumerate(at_once(*runs)):
        assert ran.code == 0, ran.err
        assert "Warning" not in ran.err
        package = (tmp_path / f"out{number}" / f"m{number}.vtm").read_bytes()
        assert len(package) < 0.6 * len(before[number])
        assert error(before[number], materialize(package)) <= LIMIT
        report = json.loads((tmp_path / f"out{number}" / "report.json").read_text("utf-8"))
        assert [v["state"] for v in report["verdicts"]] == ["met"]


def error(before: bytes, after: bytes) -> float:
    """Return the relative error on questions that were never asked; infinite for another NaN."""
    task = make_task({"family": "unknown", "limit": LIMIT, "seed": 5}, {})
    reference = task.reference(open_runner(before), Split.CONFIRMATION)
    return task.score(open_runner(after), reference, Split.CONFIRMATION).error


def test_a_model_with_nothing_to_code_stays_as_it_is(tmp_path: Path) -> None:
    none = stored("first", np.zeros((WIDTH, 0)))
    made = model((helper.make_node("MatMul", ["x", "first"], ["y"]),), first=none)
    del made.graph.initializer[1:]
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 0
    onnx.save(made, tmp_path / "m.onnx")
    ran = vtool("optimize", tmp_path / "m.onnx", "-o", tmp_path / "out", "--error", LIMIT)
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "m.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()
