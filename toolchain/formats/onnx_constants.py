"""What a name in an ONNX graph stands for where it never changes: weights, seen through casts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.formats.onnx_model import subgraphs

Array = NDArray[np.generic]

_NUMBERS = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BOOL}
    | {TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64}
    | {TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64}
)


@dataclass(frozen=True)
class Scope:
    """A graph and those around it: what can be read by name in its nodes."""

    graph: GraphProto
    stored: Mapping[str, TensorProto]  # initializers that no caller can replace
    made: Mapping[str, NodeProto]  # by the names of their results
    outer: Scope | None

    def array(self, name: str) -> Array | None:
        """Return the numbers called ``name``; None where they are not known before a run.

        Seen through are nodes that only store the numbers in another way: Cast, Reshape,
        Transpose, Identity and Mul of what is known.
        """
        if name in self.stored:
            return _numbers(self.stored[name])
        if name in self.made:
            return self._computed(self.made[name])
        if self.outer is None or any(value.name == name for value in self.graph.input):
            return None
        return self.outer.array(name)

    def _computed(self, node: NodeProto) -> Array | None:
        if node.domain not in {"", "ai.onnx"}:
            return None
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            return _numbers(given["value"]) if "value" in given else None
        compute = _SEEN_THROUGH.get(node.op_type)
        if compute is None:
            return None
        inputs = []
        for name in node.input:
            known = self.array(name)
            if known is None:
                return None
            inputs.append(known)
        try:
            return compute(given, *inputs)
        except (TypeError, ValueError, KeyError):  # a node that breaks its own rules: not ours
            return None


def scopes(graph: GraphProto, outer: Scope | None = None) -> Iterator[Scope]:
    """Yield the scopes of ``graph`` and of all graphs inside it, outer before inner."""
    replaceable = {value.name for value in graph.input}
    own = Scope(
        graph,
        {t.name: t for t in graph.initializer if t.name not in replaceable},
        {name: node for node in graph.node for name in node.output if name},
        outer,
    )
    yield own
    for node in graph.node:
        for inner in subgraphs(node):
            yield from scopes(inner, own)


def _numbers(tensor: TensorProto) -> Array | None:
    if tensor.data_type not in _NUMBERS or tensor.data_location == TensorProto.EXTERNAL:
        return None
    found: Array = numpy_helper.to_array(tensor)
    return found


def _cast(given: Mapping[str, int], array: Array) -> Array | None:
    if given["to"] not in _NUMBERS:
        return None
    return array.astype(helper.tensor_dtype_to_np_dtype(given["to"]))


def _reshape(given: Mapping[str, int], array: Array, shape: Array) -> Array | None:
    sizes = [int(size) for size in shape]
    if not given.get("allowzero", 0):
        sizes = [size or array.shape[axis] for axis, size in enumerate(sizes)]
    return array.reshape(sizes)


_SEEN_THROUGH: Mapping[str, Callable[..., Array | None]] = {
    "Cast": _cast,
    "Identity": lambda _, array: array,
    "Mul": lambda _, left, right: left * right,
    "Reshape": _reshape,
    "Transpose": lambda given, array: np.transpose(array, given.get("perm")),
}
