"""The inputs of an ONNX graph: their types and sizes, and values that fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ValueInfoProto, helper

from toolchain.errors import ConfigError
from toolchain.formats.onnx_model import graphs

_NO_TENSOR = 0  # TensorProto.UNDEFINED


def with_fixed_shapes(graph: GraphProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Write ``shapes`` into the graph's inputs; what was inferred from other sizes goes.

    Errors:
        ConfigError: there is no such input, or it cannot have that shape.
    """
    for name, shape in shapes.items():
        kind = _input(graph, name).type.tensor_type
        dims = kind.shape.dim
        fits = len(dims) == len(shape) and all(
            size > 0 and (not d.HasField("dim_value") or d.dim_value == size)
            for d, size in zip(dims, shape, strict=True)
        )
        if kind.HasField("shape") and not fits:
            raise ConfigError(
                f"the input {name!r} has the shape {declared_shape(graph, name)}",
                hint=f"it cannot be fixed to {list(shape)}",
            )
        del dims[:]
        for size in shape:
            dims.add().dim_value = size
    for inner in graphs(graph) if shapes else ():
        del inner.value_info[:]


def declared_shape(graph: GraphProto, name: str) -> list[int | str]:
    """Return the sizes of an input as declared; ``?`` where any size is allowed."""
    dims = _input(graph, name).type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims]


def bound_array(graph: GraphProto, name: str, value: float) -> NDArray[np.generic]:
    """Return ``value`` as an array of the type and shape of the input ``name``.

    Errors:
        ConfigError: the input is no tensor of numbers, has no fixed shape, or its type cannot
            hold ``value`` exactly.
    """
    shape = declared_shape(graph, name)
    if not all(isinstance(size, int) for size in shape):
        raise ConfigError(
            f"the input {name!r} has the shape {shape}, not a fixed one",
            hint=f"name its sizes in shapes: {{{name} = [...]}}",
        )
    element = _input(graph, name).type.tensor_type.elem_type
    if element == _NO_TENSOR:
        raise ConfigError(f"the input {name!r} is not a tensor and cannot be bound to {value}")
    dtype = helper.tensor_dtype_to_np_dtype(element)
    try:
        exact = np.array(value).astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(f"the input {name!r}, {dtype}, cannot be {value!r}") from error
    if exact != value or (dtype == np.bool_) != isinstance(value, bool):
        raise ConfigError(f"the input {name!r}, {dtype}, cannot be {value!r}")
    return np.full([int(size) for size in shape], exact, dtype)


def _input(graph: GraphProto, name: str) -> ValueInfoProto:
    found: list[ValueInfoProto] = [value for value in graph.input if value.name == name]
    if found:
        return found[0]
    names = ", ".join(value.name for value in graph.input)
    raise ConfigError(f"the model has no input {name!r}", hint=f"its inputs: {names}")
