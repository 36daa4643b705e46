"""A model with coarser weights, for guards to judge: what int8 per channel and fewer levels do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, TensorProto, numpy_helper


def rounded(model: bytes | Path, levels: int, least: int = 64) -> bytes:
    """Return ``model`` with each float matrix of ``least`` numbers on 2 * ``levels`` + 1 levels.

    Conv weights have a step for each filter, matrices for each column: the output channels.
    """
    loaded = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
    for tensor in _tensors(loaded.graph):
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.float32 or weights.ndim < 2 or weights.size < least:
            continue
        rest = tuple(range(1, weights.ndim)) if weights.ndim > 2 else (0,)
        step = np.maximum(np.abs(weights).max(axis=rest, keepdims=True) / levels, 1e-12)
        coarse = (np.rint(weights / step) * step).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(coarse, tensor.name))
    data: bytes = loaded.SerializeToString()
    return data


def coarser(model: bytes, multiple: int) -> bytes:
    """Return ``model`` with its 8-bit codes of matrices rounded to multiples of a number."""
    loaded = onnx.load_from_string(model)
    for tensor in _tensors(loaded.graph):
        if tensor.data_type not in {TensorProto.INT8, TensorProto.UINT8} or len(tensor.dims) != 2:
            continue
        codes = numpy_helper.to_array(tensor)
        bounds = np.iinfo(codes.dtype)
        zero = 128 if codes.dtype == np.uint8 else 0
        whole = np.rint((codes.astype(np.int32) - zero) / multiple) * multiple + zero
        changed = np.clip(whole, bounds.min, bounds.max).astype(codes.dtype)
        tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    data: bytes = loaded.SerializeToString()
    return data


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == AttributeProto.GRAPH:
                yield from _tensors(attribute.g)
