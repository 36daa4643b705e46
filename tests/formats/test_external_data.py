"""Weights in other files: read where the model says, once that was compared with what is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from toolchain.errors import FormatError, InputError
from toolchain.formats.external_data import inlined, mapped, place_of, reference
from toolchain.formats.onnx_model import load

NUMBERS = np.arange(6, dtype=np.float32)


def external(dims: list[int], dtype: int = TensorProto.FLOAT, **entries: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=dtype, dims=dims)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(*tensors: TensorProto) -> bytes:
    graph = helper.make_graph([], "g", [], [], tensors)
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def only(data: bytes) -> TensorProto:
    (tensor,) = load(data).graph.initializer
    return tensor


@pytest.mark.parametrize("size_threshold", [0, 20])
def test_what_onnx_writes_outside_comes_back_inside(size_threshold: int, tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    stored = [numpy_helper.from_array(NUMBERS[i:], n) for i, n in enumerate(names)]
    graph = helper.make_graph([], "g", [], [], stored)
    path = tmp_path / "m.onnx"
    onnx.save_model(
        helper.make_model(graph),
        path,
        save_as_external_data=True,
        location="m.data",
        size_threshold=size_threshold,
    )
    whole = inlined(path.read_bytes(), {"m.data": mapped(tmp_path / "m.data")})
    for i, tensor in enumerate(load(whole).graph.initializer):
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), NUMBERS[i:])
    assert whole == reference(path)


def test_a_model_that_is_one_file_is_returned_as_it_is() -> None:
    data = model(numpy_helper.from_array(NUMBERS, "w"))
    assert inlined(data, {}) is data


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (external([6], location="none.bin"), "'none.bin', which is not there"),
        (external([6], location="../w.bin"), "outside the model's folder, in '../w.bin'"),
        (external([6], location="a/../../w.bin"), "outside the model's folder"),
        (external([6], location="/etc/passwd"), "outside the model's folder, in '/etc/passwd'"),
        (external([6], location="C:\\w.bin"), "outside the model's folder"),
        (external([6], location="w.bin\0.txt"), "outside the model's folder"),
        (external([6], location="."), "outside the model's folder"),
        (external([6]), "outside the model's folder, in ''"),
        (external([6], location="w.bin", offset="4"), "end at byte 28 of 'w.bin', which has 24"),
        (external([7], location="w.bin"), "end at byte 28"),
        (external([6], location="w.bin", offset="-4"), "the offset .* is '-4'"),
        (external([6], location="w.bin", offset="9" * 30), "the offset .* is '9999"),
        (external([6], location="w.bin", offset="9" * 19), "end at byte 10000000000000000023"),
        (external([6], location="w.bin", offset="\u0661"), "the offset .* not a number"),
        (external([6], location="w.bin", length="0x18"), "the length .* is '0x18'"),
        (external([6], location="w.bin", length="20"), r"float32\[6\], takes 24 bytes and has 20"),
        (external([2**40, 2**40], location="w.bin", length="24"), "takes 48357"),
        (external([-1], location="w.bin"), "cannot lie in another file"),
        (external([1], TensorProto.STRING, location="w.bin"), "'w', string, cannot lie"),
        (external([1], 99, location="w.bin"), "'w', type 99, cannot lie"),
        (external([2**29], location="w.bin"), "more than an ONNX file can"),
    ],
)
def test_a_place_that_cannot_be_is_refused_by_name(
    tensor: TensorProto, message: str, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(NUMBERS.tobytes())
    with pytest.raises(InputError, match=message) as caught:
        inlined(model(tensor), {"w.bin": mapped(tmp_path / "w.bin")})
    assert "w" in str(caught.value)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(FormatError, match="no ONNX model"):
        inlined(b"\x08", {})


@pytest.mark.parametrize(
    ("dtype", "dims", "size"),
    [
        (TensorProto.INT4, [3], 2),
        (TensorProto.BFLOAT16, [3], 6),
        (TensorProto.BOOL, [], 1),
        (TensorProto.FLOAT, [0, 5], 0),
    ],
)
def test_narrow_and_empty_tensors_have_the_bytes_they_need(
    dtype: int, dims: list[int], size: int
) -> None:
    tensor = external(dims, dtype, location="w.bin", offset="1")
    assert place_of(tensor).length == size
    data = inlined(model(tensor), {"w.bin": memoryview(b"abcdefgh")})
    assert only(data).raw_data == b"bcdefgh"[:size]


def test_of_a_file_of_five_gigabytes_only_the_tensor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.bin"
    at = 5 * 2**30
    with path.open("wb") as out:  # a sparse file: the zeros before take no room
        out.seek(at)
        out.write(NUMBERS.tobytes())
    assert path.stat().st_blocks * 512 < 2**20 or os.name == "nt"
    start = time.process_time()
    data = inlined(
        model(external([6], location="huge.bin", offset=str(at))), {"huge.bin": mapped(path)}
    )
    assert time.process_time() - start < 1
    np.testing.assert_array_equal(numpy_helper.to_array(only(data)), NUMBERS)


def test_what_the_loader_of_onnx_refuses_is_refused_without_its_path(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(external([6], location="../w.bin")))
    with pytest.raises(InputError, match="own loader refuses") as caught:
        reference(path)
    assert str(tmp_path) not in str(caught.value)
    path.write_bytes(b"\x08")
    with pytest.raises(InputError, match="own loader refuses"):
        reference(path)


def test_nothing_else_in_the_model_changes() -> None:
    given = ModelProto()
    given.ParseFromString(model(external([6], location="w.bin")))
    helper.set_model_props(given, {"who": "us"})
    given.graph.doc_string = "kept"
    after = load(inlined(given.SerializeToString(), {"w.bin": memoryview(NUMBERS.tobytes())}))
    after.graph.initializer[0].CopyFrom(given.graph.initializer[0])
    assert after == given
