"""Computes what a graph computes from constants alone, with onnxruntime as the calculator."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from onnx.shape_inference import InferenceError, infer_shapes

from toolchain.errors import InputError
from toolchain.formats.onnx_model import refill
from toolchain.formats.onnx_session import run, session

Shape = tuple[int, ...]

# These give back numbers they were given: folding them never makes a model larger than its inputs.
_MOVING = frozenset(
    {"Concat", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)
# These may give more than they get, so they are folded only where all inputs are small: such nodes
# compute shapes and conditions.
_COMPUTING = frozenset(
    {"Abs", "Add", "And", "Cast", "Ceil", "Div", "Equal", "Floor", "Gather", "Greater"}
    | {"GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or"}
    | {"ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Sub", "Where", "Xor"}
)
_SMALL_ELEMENTS = 1024  # ours: far above any shape, far below any weight


def with_shapes(model: ModelProto) -> ModelProto:
    """Return ``model`` with the shapes that follow from its inputs; itself if they contradict."""
    try:
        return infer_shapes(model, data_prop=True)
    except InferenceError:
        return model


def static_shapes(graph: GraphProto) -> dict[str, Shape]:
    """Return the values of ``graph`` whose shape is fully known."""
    found = {}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        kind = value.type.tensor_type
        dims = kind.shape.dim
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            found[value.name] = tuple(d.dim_value for d in dims)
    return found


def folded(
    graph: GraphProto,
    known: Mapping[str, TensorProto],
    shapes: Mapping[str, Shape],
    model: ModelProto,
    refused: Collection[str],
) -> list[TensorProto]:
    """Return what nodes of ``graph`` give that need nothing but ``known`` values and ``shapes``.

    The graph's own outputs stay: something must compute them; so do ``refused`` values. ``model``
    says which operators.
    """
    outputs = {value.name for value in graph.output}
    found: list[TensorProto] = []
    ready = []
    for node in graph.node:
        if node.domain or not outputs.union(refused).isdisjoint(node.output):
            continue
        shape = shapes.get(node.input[0]) if node.op_type in {"Shape", "Size"} else None
        if shape is not None:
            found.append(numpy_helper.from_array(_measured(node, shape), node.output[0]))
        elif _is_ready(node, known):
            ready.append(node)
    return found + _computed(ready, known, model)


def constant_value(node: NodeProto) -> TensorProto | None:
    """Return what a Constant node gives, under the name of its output; None if not numbers."""
    attribute = node.attribute[0]
    if attribute.name == "value":
        value = TensorProto()
        value.CopyFrom(attribute.t)
        value.name = node.output[0]
        return value
    dtype = {"value_float": np.float32, "value_floats": np.float32}.get(attribute.name, np.int64)
    if attribute.name not in {"value_float", "value_floats", "value_int", "value_ints"}:
        return None
    array = np.array(helper.get_attribute_value(attribute), dtype)
    return numpy_helper.from_array(array, node.output[0])


def store_constants(graph: GraphProto) -> None:
    """Turn Constant nodes into initializers, but for those that are the graph's result."""
    outputs = {value.name for value in graph.output}
    values = {}
    for node in graph.node:
        if node.op_type == "Constant" and not node.domain and node.output[0] not in outputs:
            value = constant_value(node)
            if value is not None:
                values[node.output[0]] = value
    replace(graph, list(values.values()))


def replace(graph: GraphProto, values: Sequence[TensorProto]) -> None:
    """Put stored ``values`` in the place of the nodes that give them."""
    if values:
        done = {value.name for value in values}
        refill(graph.node, [n for n in graph.node if not done.issuperset(filter(None, n.output))])
        graph.initializer.extend(values)


def _is_ready(node: NodeProto, known: Mapping[str, TensorProto]) -> bool:
    inputs = [name for name in node.input if name]
    if not inputs or any(name not in known for name in inputs):
        return False
    if node.op_type in _MOVING:
        return True
    if node.op_type == "ConstantOfShape":
        sizes: list[int] = numpy_helper.to_array(known[inputs[0]]).tolist()
        return math.prod(sizes) <= _SMALL_ELEMENTS
    small = all(math.prod(known[name].dims) <= _SMALL_ELEMENTS for name in inputs)
    return node.op_type in _COMPUTING and small


def _measured(node: NodeProto, shape: Shape) -> NDArray[np.int64]:
    if node.op_type == "Size":
        return np.array(math.prod(shape), np.int64)
    bounds = {a.name: a.i for a in node.attribute}
    return np.array(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)


def _computed(
    nodes: Collection[NodeProto], known: Mapping[str, TensorProto], model: ModelProto
) -> list[TensorProto]:
    if not nodes:
        return []
    needed = sorted({name for node in nodes for name in node.input if name})
    outputs = [name for node in nodes for name in node.output if name]
    graph = helper.make_graph(
        list(nodes),
        "constants",
        inputs=[],
        outputs=[ValueInfoProto(name=name) for name in outputs],
        initializer=[known[name] for name in needed],
    )
    alone = helper.make_model(graph, ir_version=model.ir_version, opset_imports=model.opset_import)
    try:
        values = run(session(alone.SerializeToString(), optimize=False), {})
    except InputError:
        return []  # such a node fails only if it is reached: leave it where it is
    return [numpy_helper.from_array(values[name], name) for name in outputs]
