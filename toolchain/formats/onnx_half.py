"""Stores float32 weights whose numbers all fit exactly into two bytes in two bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from toolchain.formats.onnx_folding import store_constants
from toolchain.formats.onnx_inline import definitions, free_name
from toolchain.formats.onnx_model import graphs
from toolchain.formats.onnx_rewrite import with_constants_apart
from toolchain.formats.onnx_sharing import fixed_names

_CAST_BFLOAT16 = 13  # opset: Cast knows bfloat16 since then
_BFLOAT16_BITS = 16  # of float32's 32, the upper ones
Numbers = NDArray[np.float32]


def with_half_weights(model: ModelProto, *, least_bytes: int, bfloat16: bool) -> ModelProto | None:
    """Return ``model``, changed: exact weights of ``least_bytes`` or more in two bytes a number.

    A Cast in the same graph makes them float32 again. None if there are no such weights.
    """
    model = with_constants_apart(model)
    for graph in graphs(model.graph):
        store_constants(graph)
    opset = next((o.version for o in model.opset_import if not o.domain), 0)
    names = definitions(model.graph)
    changed = False
    for graph, tensor in _candidates(model, least_bytes):
        array = numpy_helper.to_array(tensor)
        half = half_of(array)
        kind = TensorProto.FLOAT16
        if half is None and bfloat16 and opset >= _CAST_BFLOAT16:
            half, kind = brain_half_of(array), TensorProto.BFLOAT16
        if half is None:
            continue
        changed = True
        wide = tensor.name
        tensor.name = free_name(wide, names)
        tensor.data_type = kind
        tensor.ClearField("float_data")
        tensor.raw_data = half.astype("<u2").tobytes()
        cast = helper.make_node("Cast", [tensor.name], [wide], to=TensorProto.FLOAT)
        graph.node.insert(0, cast)
    return model if changed else None


def half_of(array: Numbers) -> NDArray[np.uint16] | None:
    """Return the bits of ``array`` in float16; None unless they say exactly the same.

    >>> half_of(np.float32([0.5, -0.0, np.inf])).tolist()
    [14336, 32768, 31744]
    >>> half_of(np.float32([0.1])) is None
    True
    """
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    same = np.array_equal(half.astype(np.float32).view(np.uint32), array.view(np.uint32))
    return half.view(np.uint16) if same else None


def brain_half_of(array: Numbers) -> NDArray[np.uint16] | None:
    """Return the bits of ``array`` in bfloat16; None unless they say exactly the same.

    >>> brain_half_of(np.float32([1e38])) is None, brain_half_of(np.float32([2.0**100])).tolist()
    (True, [29056])
    """
    bits = array.view(np.uint32)
    if np.any(bits & (2**_BFLOAT16_BITS - 1)):
        return None
    return (bits >> _BFLOAT16_BITS).astype(np.uint16)


def _candidates(model: ModelProto, least_bytes: int) -> Iterator[tuple[GraphProto, TensorProto]]:
    """Yield float32 weights, with their graphs, that may become the result of a node.

    Scales of quantized tensors may not: onnxruntime fuses such operators only around initializers.
    """
    fixed = fixed_names(model.graph)
    fixed |= {
        name
        for graph in graphs(model.graph)
        for node in graph.node
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}
        for name in node.input[1:]
    }
    for graph in graphs(model.graph):
        for tensor in graph.initializer:
            if (
                tensor.data_type == TensorProto.FLOAT
                and tensor.data_location != TensorProto.EXTERNAL
                and tensor.ByteSize() >= least_bytes
                and tensor.name not in fixed
            ):
                yield graph, tensor
