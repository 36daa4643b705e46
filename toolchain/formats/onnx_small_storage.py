"""Weights stored small and widened when the model is loaded: int8 with steps, or float16."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.formats.integer_grid import grid
from toolchain.formats.onnx_constants import Array
from toolchain.formats.onnx_inline import definitions, free_name
from toolchain.formats.onnx_model import graphs, nodes, refill

_LEAST_ELEMENTS = 1024  # ours: smaller tensors are biases and norms, which need their digits
_MOST = 127  # of the codes: int8, symmetric

# Where the output channels of a weight lie: operator -> input -> axis.
_CHANNELS: Mapping[str, Mapping[int, int]] = {
    "Conv": {1: 0},
    "ConvTranspose": {1: 1},
    "Gather": {0: 0},
    "GRU": {1: 1, 2: 1},
    "LSTM": {1: 1, 2: 1},
    "MatMul": {1: -1},
}


def with_int8_weights(model: ModelProto) -> bool:
    """Store the float32 weights of ``model`` as int8 and a step a channel; False: there are none.

    They are widened by Cast and Mul, which onnxruntime computes once, when it loads the model
    (DequantizeLinear it would compute at every run). Weights that are small integers times a step
    a channel already do not change.
    """
    channels = _channel_axes(model)

    def encoded(name: str, array: Array) -> list[Array]:
        if name not in channels or not np.isfinite(array).all():
            return []
        axis = channels[name] % array.ndim
        rows = np.moveaxis(array, axis, 0)
        flat = np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=np.float32)
        codes, steps = grid(flat, _MOST)
        back = np.moveaxis(codes.reshape(rows.shape), 0, axis)
        return [back, steps.reshape([-1 if a == axis else 1 for a in range(array.ndim)])]

    return _stored_smaller(model, encoded)


def with_half_weights(model: ModelProto) -> bool:
    """Store float32 weights of ``model`` as float16 where all of them fit; False: none does.

    They are rounded to float16's 11 bits, unless they have no more already.
    """

    def encoded(_: str, array: Array) -> list[Array]:
        with np.errstate(over="ignore"):  # too large for float16: infinite, and refused
            half = array.astype(np.float16)
        return [half] if np.isfinite(half).all() else []

    return _stored_smaller(model, encoded)


def _stored_smaller(model: ModelProto, encoded: Callable[[str, Array], list[Array]]) -> bool:
    """Store float32 tensors as what ``encoded`` gives: small numbers, and perhaps their factor."""
    names = definitions(model.graph)
    changed = False
    for graph in graphs(model.graph):
        kept: list[TensorProto] = []
        widening: list[NodeProto] = []
        large = _large(graph)
        for tensor in [*graph.initializer, *(t for t in _constants(graph) if t.name in large)]:
            arrays = encoded(tensor.name, large[tensor.name]) if tensor.name in large else []
            parts = [numpy_helper.from_array(a, free_name(tensor.name, names)) for a in arrays]
            kept += parts or [tensor]
            widening += _widening(parts, tensor.name, names)
        if widening:
            changed = True
            refill(graph.initializer, kept)
            left = [n for n in graph.node if not set(n.output) & large.keys()]
            refill(graph.node, [*widening, *left])
    return changed


def _large(graph: GraphProto) -> dict[str, Array]:
    """Return the float32 weights stored in ``graph``, in initializers and Constant nodes."""
    fixed = {value.name for value in [*graph.input, *graph.output]}
    tensors = [*graph.initializer, *_constants(graph)]
    return {
        t.name: numpy_helper.to_array(t)
        for t in tensors
        if t.name not in fixed
        and t.data_type == TensorProto.FLOAT
        and math.prod(t.dims) >= _LEAST_ELEMENTS
        and t.data_location != TensorProto.EXTERNAL
    }


def _constants(graph: GraphProto) -> list[TensorProto]:
    """Return the tensors of Constant nodes, under the names of the nodes' results."""
    found = []
    for node in graph.node:
        if node.op_type == "Constant" and not node.domain:
            for attribute in node.attribute:
                if attribute.name == "value":
                    tensor = TensorProto()
                    tensor.CopyFrom(attribute.t)
                    tensor.name = node.output[0]
                    found.append(tensor)
    return found


def _widening(parts: list[TensorProto], name: str, names: Counter[str]) -> list[NodeProto]:
    """Return the nodes that make the float32 tensor ``name`` of its ``parts``."""
    if not parts:
        return []
    factors = [part.name for part in parts[1:]]
    wide = free_name(name, names) if factors else name
    cast = helper.make_node("Cast", [parts[0].name], [wide], to=TensorProto.FLOAT)
    return [cast, *(helper.make_node("Mul", [wide, f], [name]) for f in factors)]


def _channel_axes(model: ModelProto) -> dict[str, int]:
    """Return the axis of the output channels of every weight that an operator reads as such."""
    axes: dict[str, int] = {}
    for node in nodes(model):
        known = _CHANNELS.get(node.op_type, {})
        if node.op_type == "Gemm":
            known = {1: 0 if any(a.name == "transB" and a.i for a in node.attribute) else 1}
        for place, axis in known.items():
            if not node.domain and place < len(node.input):
                axes.setdefault(node.input[place], axis)
    return axes
