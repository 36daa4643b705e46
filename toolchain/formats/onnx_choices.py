"""Finds the values of small inputs that choose between branches: flags, and what is compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.formats.onnx_folding import constant_value
from toolchain.formats.onnx_model import graphs

Array = NDArray[np.generic]

_COMPARING = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
_PASSING = frozenset(
    {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
)  # one number stays one
_MOST_VALUES = 4  # ours: of one input; a model is published for two or three rates
_MOST_CHOICES = 8  # ours: combinations; three flags


def choices(model: ModelProto) -> dict[str, tuple[bool | int | float, ...]]:
    """Return inputs of one number, and values that lead to different branches.

    A flag is False and True; a number is each constant that it is compared with, and 0, which
    stands for everything else.
    """
    main = model.graph
    constants = _scalars(model)
    found: dict[str, tuple[bool | int | float, ...]] = {}
    for value in main.input:
        kind = value.type.tensor_type
        sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
        if not kind.HasField("shape") or math.prod(sizes) != 1:
            continue
        if kind.elem_type == TensorProto.BOOL:
            found[value.name] = (False, True)
        elif compared := _compared(model, value.name, constants):
            found[value.name] = (*compared[: _MOST_VALUES - 1], 0)
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


def combinations(model: ModelProto, fixed: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Return feeds for every combination of ``choices``, but for the inputs that are ``fixed``.

    One empty feed where there is nothing to choose.
    """
    shapes = {v.name: [1] * len(v.type.tensor_type.shape.dim) for v in model.graph.input}
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    options = {name: values for name, values in choices(model).items() if name not in fixed}
    return [
        {
            name: np.full(shapes[name], value, helper.tensor_dtype_to_np_dtype(types[name]))
            for name, value in zip(options, values, strict=True)
        }
        for values in islice(product(*options.values()), _MOST_CHOICES)
    ]


def _scalars(model: ModelProto) -> dict[str, bool | int | float]:
    """Return constants of one number by name, from all graphs."""
    found: dict[str, bool | int | float] = {}
    for tensor in _small(model):
        if tensor.data_type not in {TensorProto.STRING, TensorProto.UNDEFINED}:
            found[tensor.name] = numpy_helper.to_array(tensor).reshape(-1)[0].item()
    return found


def _small(model: ModelProto) -> Iterator[TensorProto]:
    for graph in graphs(model.graph):
        stored = [*graph.initializer]
        for node in graph.node:
            value = constant_value(node) if _is(node, "Constant") else None
            stored += [value] if value is not None else []
        yield from (t for t in stored if math.prod(t.dims) == 1)


def _compared(
    model: ModelProto, name: str, constants: Mapping[str, bool | int | float]
) -> list[bool | int | float]:
    """Return the constants that the input ``name`` is compared with, anywhere."""
    same = {name}
    found = []
    for graph in graphs(model.graph):  # a node comes after what it reads, inner graphs after outer
        for node in graph.node:
            if node.op_type in _PASSING and not node.domain and node.input[0] in same:
                same.add(node.output[0])
            elif node.op_type in _COMPARING and not node.domain and same.intersection(node.input):
                found += [constants[i] for i in node.input if i in constants]
    return found


def _is(node: NodeProto, op: str) -> bool:
    return node.op_type == op and not node.domain
