"""Packages: what goes in comes out, small, the same every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import brotli
import coded_models
import numpy as np
import pytest
import real
from coded_models import Coded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from toolchain.formats import model_template, onnx_model, package_header
from toolchain.formats.coded_tensor import CodedTensor, decoded
from toolchain.formats.compression import Codec
from toolchain.formats.materializer import Reader, materialize
from toolchain.formats.model_package import Effort, encoded_size, pack, unpack

SILERO = ("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx")
EITHER = st.sampled_from(list(Effort))


def packed(case: Coded, effort: Effort = Effort.FAST) -> bytes:
    try:
        return pack(case.model, case.tensors, effort=effort)
    except ValueError as error:
        assume("finite" not in str(error) and "overflow" not in str(error))
        raise


@given(coded_models.coded_models(), EITHER)
def test_every_tensor_comes_back_coded_ones_as_their_codes_say(case: Coded, effort: Effort) -> None:
    found = coded_models.values(materialize(packed(case, effort)))
    for position, (before, after) in enumerate(
        zip(coded_models.values(case.model), found, strict=True)
    ):
        tensor = case.tensors.get(position)
        with np.errstate(all="ignore"):
            wanted = before if tensor is None else decoded(tensor)
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        assert after.tobytes() == wanted.tobytes()


@given(coded_models.coded_models())
def test_a_package_gives_back_its_codes(case: Coded) -> None:
    found = unpack(packed(case)).coded
    assert set(found) == {i for i, tensor in case.tensors.items() if tensor.codes.size}
    for position, tensor in found.items():
        given_tensor = case.tensors[position]
        assert (tensor.shape, tensor.dtype) == (given_tensor.shape, given_tensor.dtype)
        np.testing.assert_array_equal(tensor.codes, given_tensor.codes)
        for ours, theirs in zip(tensor.factors, given_tensor.factors, strict=True):
            assert ours.tobytes() == theirs.tobytes()


@given(coded_models.coded_models())
def test_with_nothing_coded_the_file_comes_back_byte_for_byte(case: Coded) -> None:
    assert materialize(pack(case.model, {}, effort=Effort.FAST)) == case.model


@given(coded_models.coded_models())
@settings(max_examples=30)
def test_the_same_model_gives_the_same_package(case: Coded) -> None:
    assert packed(case) == packed(case)


@pytest.mark.parametrize("codec", [Codec.BROTLI, Codec.ZSTD])
def test_both_codecs_are_read(codec: Codec) -> None:
    model = coded_models.built([numpy_helper.from_array(np.arange(5000, dtype=np.float32), "w")])
    package = pack(model, {}, effort=Effort.FAST, codecs=(codec,))
    used = {package_header.CODECS[c.codec] for c in package_header.read(package).header.chunks}
    assert codec in used
    assert materialize(package) == model


def test_equal_tensors_travel_once() -> None:
    codes = np.random.default_rng(1).integers(-99, 99, (64, 64), np.int8)
    once, thrice = (
        coded_models.built([numpy_helper.from_array(codes, f"w{i}") for i in range(n)])
        for n in (1, 3)
    )
    assert len(pack(thrice, {})) < len(pack(once, {})) + 100


def test_equal_small_tensors_travel_once() -> None:
    numbers = np.random.default_rng(1).integers(0, 256, 1000).astype(np.uint8)
    model = coded_models.built([numpy_helper.from_array(numbers, f"w{i}") for i in range(3)])
    _, small = package_header.read(pack(model, {}, effort=Effort.FAST)).header.chunks
    assert small.size == numbers.size


def test_a_chunk_of_many_tensors_is_decoded_once() -> None:
    numbers = [np.arange(90, dtype=np.int8) + np.int8(i) for i in range(9)]
    model = coded_models.built([numpy_helper.from_array(n, "w") for n in numbers])
    reader = Reader.open(pack(model, {}, effort=Effort.FAST))
    reader.bodies = read = _Counted(reader.bodies)
    assert b"".join(reader.pieces()) == model
    assert read.counts == {0: 1, 1: 1}


class _Counted(list[bytes | memoryview]):
    """A list that knows how often each of its items was asked for."""

    def __init__(self, items: Sequence[bytes | memoryview]) -> None:
        super().__init__(items)
        self.counts: Counter[int] = Counter()

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - as list's
        self.counts[index] += 1
        return super().__getitem__(index)


def test_order_of_matrices_is_found() -> None:
    column = np.random.default_rng(1).integers(-7, 8, 300)
    codes = np.repeat(column[:, None], 300, 1).astype(np.int8)
    rows, columns = (
        encoded_size(CodedTensor(c, c.shape, "int8"), Effort.FULL) for c in (codes, codes.T.copy())
    )
    assert max(rows, columns) < 500


def test_the_size_of_a_tensor_is_what_it_adds_to_a_package() -> None:
    rng = np.random.default_rng(1)
    codes = rng.normal(0, 4, (128, 96)).astype(np.int8)
    factor = rng.normal(0, 1, (128, 1)).astype(np.float32)
    tensor = CodedTensor(codes, codes.shape, "float32", (factor,))
    model = coded_models.built([numpy_helper.from_array(np.zeros(codes.shape, np.float32), "w")])
    package = pack(model, {0: tensor}, effort=Effort.FULL)
    rest = 400  # skeleton and header
    assert 0 <= len(package) - encoded_size(tensor, Effort.FULL) < rest


def test_few_small_codes_cost_what_they_tell() -> None:
    codes = np.random.default_rng(1).integers(-1, 2, (256, 256)).astype(np.int8)
    size = encoded_size(CodedTensor(codes, codes.shape, "float32"), Effort.FULL)
    assert size < 1.03 * codes.size * np.log2(3) / 8


def test_a_few_large_codes_do_not_make_all_others_dearer() -> None:
    codes = np.random.default_rng(1).normal(0, 9, (256, 96)).astype(np.int16)
    small = encoded_size(CodedTensor(codes, codes.shape, "float32"), Effort.FULL)
    codes[7, 7], codes[99, 50] = 1000, -129
    assert encoded_size(CodedTensor(codes, codes.shape, "float32"), Effort.FULL) < small + 60


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (CodedTensor(np.zeros((2, 2), np.int8), (2, 2), "float32"), "stands for"),
        (CodedTensor(np.zeros(4, np.int8), (4,), "float16"), "stands for"),
        (
            CodedTensor(np.zeros(4, np.int8), (4,), "float32", (np.float32([np.inf]),)),
            "finite",
        ),
        (
            CodedTensor(np.ones(4, np.int8), (4,), "float32", (np.float32([3e38]),) * 2),
            "overflow",
        ),
        (CodedTensor(np.full(4, 1 << 31), (4,), "float32"), "32 bits"),
    ],
    ids=["shape", "type", "infinite", "overflow", "wide"],
)
def test_what_cannot_stand_for_the_tensor_is_refused(tensor: CodedTensor, words: str) -> None:
    model = coded_models.built([numpy_helper.from_array(np.zeros(4, np.float32), "w")])
    with pytest.raises(ValueError, match=words):
        pack(model, {0: tensor})
    with pytest.raises(ValueError, match="none at 1"):
        pack(model, {1: tensor})


def test_a_scaled_integer_of_32_bits_is_refused() -> None:
    model = coded_models.built([numpy_helper.from_array(np.zeros(4, np.int32), "w")])
    tensor = CodedTensor(np.zeros(4, np.int8), (4,), "int32", (np.float32([2]),))
    with pytest.raises(ValueError, match="exact"):
        pack(model, {0: tensor})


def test_slots_are_in_the_order_of_the_tensors_branches_and_functions_included() -> None:
    data = real.file(*SILERO).read_bytes()
    model = onnx_model.load(data)
    function = model.functions.add(name="f", domain="d")
    inner = helper.make_tensor("inner", TensorProto.FLOAT, [1], [2.0])
    function.node.append(helper.make_node("Constant", [], ["y"], value=inner))
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("i", TensorProto.INT64, [1], [0]),
        [4],
    )
    model.graph.sparse_initializer.append(sparse)
    data = onnx_model.serialized(model)
    found = model_template.slots(memoryview(data))
    wanted = list(onnx_model.tensors(model))
    assert [(s.name, s.type, s.shape) for s in found] == [
        (t.name, t.data_type, tuple(t.dims)) for t in wanted
    ]
    for slot, tensor in zip(found, wanted, strict=True):
        if tensor.raw_data:
            assert data[slot.start : slot.end] == tensor.raw_data


def test_a_model_in_two_pieces_is_packed_as_protobuf_reads_it() -> None:
    first = coded_models.built([numpy_helper.from_array(np.arange(99, dtype=np.int8), "a")])
    second = coded_models.built([numpy_helper.from_array(np.arange(99, dtype=np.int8), "b")])
    whole = onnx_model.serialized(onnx_model.load(first + second))
    assert materialize(pack(first + second, {})) == whole


def test_a_real_model_packs_to_less_than_brotli_makes_of_it() -> None:
    data = real.file(*SILERO).read_bytes()
    package = pack(data, {}, effort=Effort.FAST)
    assert materialize(package) == data
    assert len(package) < len(brotli.compress(data, quality=9))
