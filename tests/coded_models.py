"""Small ONNX models with coded tensors of every type and shape, for tests of packages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from toolchain.formats import onnx_model
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.package_header import ROUNDED, TARGETS

_NUMBER = st.floats(-1e6, 1e6, width=32) | st.sampled_from(
    [0.5, -0.0, 1.5, 1e-40, 65504.0, 65520.0, 6e-8]
)
# both sides of what stays in the skeleton and of what gets its own chunk, and what does not exist
_SHAPES = st.sampled_from(
    [(), (0,), (1,), (3, 0, 2), (7,), (16,), (5, 3), (33, 2), (4, 3, 3), (2, 1, 64), (70, 31)]
)


@dataclass(frozen=True)
class Coded:
    """A model, and the tensors of it that are coded, by position."""

    model: bytes
    tensors: Mapping[int, CodedTensor]


def built(tensors: list[TensorProto]) -> bytes:
    """Return a model with these initializers, and nothing that uses them."""
    graph = helper.make_graph([], "g", [], [], tensors)
    return onnx_model.serialized(helper.make_model(graph, producer_name="tests"))


def values(model: bytes) -> list[NDArray[np.generic]]:
    """Return all tensors of a model."""
    proto = ModelProto()
    proto.ParseFromString(model)
    return [numpy_helper.to_array(tensor) for tensor in onnx_model.tensors(proto)]


@st.composite
def coded_tensors(draw: st.DrawFn) -> CodedTensor:
    """Draw codes of any type on a grid, with up to two factors and an offset."""
    dtype = draw(st.sampled_from(sorted(TARGETS)))
    shape = draw(_SHAPES)
    grid = draw(st.sampled_from([shape, (math.prod(shape),), (1, *shape, 1)]))
    kind = draw(st.sampled_from(["int8", "uint8", "int16", "int32"]))
    low, high = draw(st.sampled_from([(-8, 7), (-9, 7), (0, 255), (-128, 127), (-300, 32767)]))
    bounds = np.iinfo(kind)
    seed = draw(st.integers(0, 1 << 16))
    span = max(low, bounds.min), min(high, bounds.max)
    codes = np.random.default_rng(seed).integers(*span, grid, kind, endpoint=True)
    codes = np.asarray(codes, kind)
    if dtype not in ROUNDED or draw(st.booleans()):
        return CodedTensor(codes, shape, dtype)
    parts = [draw(_stretched(grid)) for _ in range(draw(st.integers(1, 3)))]
    offset = parts.pop() if draw(st.booleans()) else None
    return CodedTensor(codes, shape, dtype, tuple(parts), offset)


@st.composite
def _stretched(draw: st.DrawFn, grid: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw numbers that broadcast to ``grid``."""
    kept = draw(st.integers(0, len(grid)))
    shape = tuple(draw(st.sampled_from(sorted({1, n}))) for n in grid[len(grid) - kept :])
    return draw(arrays.arrays(np.float32, shape, elements=_NUMBER))


@st.composite
def coded_models(draw: st.DrawFn) -> Coded:
    """Draw a model in which some tensors are coded; others are stored in all ways ONNX has."""
    coded, tensors = {}, []
    for position in range(draw(st.integers(0, 5))):
        name = f"w{position}"
        if draw(st.booleans()):
            tensor = draw(coded_tensors())
            zeros = np.zeros(tensor.shape, tensor.dtype)
            coded[position] = tensor
            tensors.append(_stored(draw, zeros, name))
        else:
            tensors.append(_stored(draw, draw(_exact()), name))
    return Coded(built(tensors), coded)


def _exact() -> st.SearchStrategy[NDArray[np.generic]]:
    def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[np.generic]:
        drawn = np.random.default_rng(seed).normal(0, 9, shape)
        return (
            np.asarray(drawn).astype(np.int8).astype(dtype)
            if dtype != "float32"
            else (np.asarray(drawn, np.float32))
        )

    return st.builds(numbers, _SHAPES, st.sampled_from(sorted(TARGETS)), st.integers(0, 99))


def _stored(draw: st.DrawFn, numbers: NDArray[np.generic], name: str) -> TensorProto:
    """Return a tensor with raw or with typed data."""
    if draw(st.booleans()):
        return numpy_helper.from_array(numbers, name)
    kind = helper.np_dtype_to_tensor_dtype(numbers.dtype)
    return helper.make_tensor(name, kind, numbers.shape, numbers.ravel())
