"""The weights of an ONNX model: where they lie, who reads them, as inputs, with other values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.formats import onnx_model
from toolchain.formats.onnx_scopes import Reader, Scope, scopes
from toolchain.formats.onnx_uses import Use, uses

_NAMES: Mapping[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
}
_INTEGER_READERS = {
    ("ConvInteger", 1),
    ("DequantizeLinear", 0),
    ("DynamicQuantizeMatMul", 1),
    ("Gather", 0),
    ("MatMulInteger", 0),
    ("MatMulInteger", 1),
    ("MatMulIntegerToFloat", 1),
    ("QLinearConv", 3),
    ("QLinearMatMul", 3),
}
"""Who reads integers as numbers. Elsewhere they may be packed bits (MatMulNBits), of which no
neighbour is nearly the same."""

_PREFIX = "vtool.weight."
_LARGEST = 1e16  # ours: the squares of a thousand of these have a finite sum in float32


@dataclass(frozen=True)
class Weight:
    """A stored tensor whose values may be changed."""

    index: int  # in the order of ``onnx_model.tensors``
    name: str
    values: NDArray[np.generic]
    uses: tuple[Use, ...]  # what is known of its readers; may be empty
    key: tuple[str, int]  # name, and how many of that name lie before it: branches repeat names

    @property
    def dtype(self) -> str:
        """Numpy's name of its type."""
        return str(self.values.dtype)


@dataclass(frozen=True)
class _Place:
    """Where a tensor is stored: an initializer, or the value of a node Constant."""

    index: int
    name: str
    tensor: TensorProto
    scope: Scope
    constant: NodeProto | None = None


def weights(model: ModelProto, least: int) -> list[Weight]:
    """Return the tensors of at least ``least`` elements that can be coded with a loss.

    Those are float32, float16, and 8-bit integers that are read as numbers, anywhere but in
    functions; not those that are outputs, that nobody reads, or that hold NaN, infinity or numbers
    whose squares are infinite in float32 (-3.4e38, which masks attention).
    """
    found = []
    counts: Counter[str] = Counter()
    for place in _places(model):
        key = (place.name, counts[place.name])
        counts[place.name] += 1
        if place.tensor.data_type not in _NAMES or math.prod(place.tensor.dims) < least:
            continue
        readers = place.scope.readers.get(place.name, [])
        if not readers or any(r.is_output for r in readers):
            continue
        values = numpy_helper.to_array(place.tensor)
        if values.dtype.kind == "f":
            if not float(np.abs(values).max(initial=0)) <= _LARGEST:  # or NaN
                continue
        elif any((r.node.op_type, r.position) not in _INTEGER_READERS for r in readers):
            continue
        found.append(Weight(place.index, place.name, values, uses(values.shape, readers), key))
    return found


def with_inputs(data: bytes, indices: Collection[int]) -> tuple[bytes, dict[int, str]]:
    """Return the model with these tensors as inputs, and the inputs' names by index.

    Weights of inner graphs become inputs of the main graph, which inner graphs may read.
    """
    model = onnx_model.load(data)
    names = {}
    wanted = set(indices)
    for place in [p for p in _places(model) if p.index in wanted]:
        name = f"{_PREFIX}{place.index}"
        names[place.index] = name
        _rename(place.scope.readers.get(place.name, []), name)
        graph = place.scope.graph
        if place.constant is not None:
            graph.node.remove(place.constant)
        else:
            graph.initializer.remove(place.tensor)
        onnx_model.refill(graph.input, [i for i in graph.input if i.name != place.name])
        shape = list(place.tensor.dims)
        kind = helper.make_tensor_value_info(name, place.tensor.data_type, shape)
        model.graph.input.append(kind)
    return onnx_model.serialized(model), names


def with_values(data: bytes, values: Mapping[int, NDArray[np.generic]]) -> bytes:
    """Return the model with these tensors filled anew; type and shape stay.

    Errors:
        ValueError: an array of another type or shape.
    """
    model = onnx_model.load(data)
    for place in _places(model):
        if place.index not in values:
            continue
        array = values[place.index]
        tensor = place.tensor
        if array.shape != tuple(tensor.dims) or str(array.dtype) != _NAMES[tensor.data_type]:
            raise ValueError(f"{array.dtype}{list(array.shape)} is no {place.name}")
        filled = numpy_helper.from_array(np.ascontiguousarray(array), tensor.name)
        filled.doc_string = tensor.doc_string
        tensor.CopyFrom(filled)
    return onnx_model.serialized(model)


def _places(model: ModelProto) -> Iterator[_Place]:
    """Yield what can be a weight, counted as ``onnx_model.tensors`` counts."""
    found = scopes(model.graph)
    at = 0
    for scope in found:
        for tensor in scope.graph.initializer:
            yield _Place(at, tensor.name, tensor, scope)
            at += 1
        at += 2 * len(scope.graph.sparse_initializer)
    for scope in found:
        for node in scope.graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    if node.op_type == "Constant":
                        yield _Place(at, node.output[0], attribute.t, scope, node)
                    at += 1
                at += len(attribute.tensors)


def _rename(readers: Collection[Reader], name: str) -> None:
    for reader in readers:
        reader.node.input[reader.position] = name
