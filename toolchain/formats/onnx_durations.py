"""Text-to-speech models: lets a caller decide how long each sound is, and see what it would be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from toolchain.errors import InputError
from toolchain.formats import onnx_model

FORCE, FORCED = "durations.force", "durations.forced"
"""New inputs: whether, (1,) bool; and the durations in frames, shaped as the model's own (anything
of shape (1,) where they are not forced)."""

UNROUNDED, ROUNDED = "durations.unrounded", "durations.rounded"
"""New outputs: what the model would like, and what it makes of that; float32 both."""

_ROUNDING = {"Ceil", "Floor", "Round"}
_SAME_COUNT = {
    "Add", "Cast", "Clip", "Identity", "Max", "Min", "Mul", "Reshape", "Squeeze", "Sub",
    "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
_SUMMED = {"CumSum", "ReduceSum"}  # where sounds begin and end, how many frames there are


def with_forced_durations(data: bytes, tensor: str = "") -> bytes:
    """Return the model with two inputs and two outputs more; weights and names stay.

    The rounded durations are found by their use: they are the ones that are summed up. ``tensor``
    names them where that is not clear.

    Errors:
        InputError: nothing that is rounded is summed up, or more than one thing.
    """
    model = onnx_model.load(data)
    graph = model.graph
    number, node = _rounding(model, tensor)
    name = node.output[0]
    shown = f"{name}/model"
    node.output[0] = shown
    choose = helper.make_node("Where", [FORCE, FORCED, shown], [name], f"{ROUNDED}/choose")
    to_float = int(TensorProto.FLOAT)
    outputs = [
        helper.make_node("Cast", [node.input[0]], [UNROUNDED], UNROUNDED, to=to_float),
        helper.make_node("Cast", [shown], [ROUNDED], ROUNDED, to=to_float),
    ]
    nodes = list(graph.node)
    onnx_model.refill(graph.node, [*nodes[: number + 1], choose, *outputs, *nodes[number + 1 :]])
    graph.input.extend([_any_shape(FORCE, np.bool_), _any_shape(FORCED, np.float32)])
    graph.output.extend([_any_shape(name, np.float32) for name in (UNROUNDED, ROUNDED)])
    return onnx_model.serialized(model)


def _rounding(model: ModelProto, tensor: str) -> tuple[int, NodeProto]:
    """Return the place and the node that rounds durations."""
    nodes = model.graph.node
    found = [
        (number, node)
        for number, node in enumerate(nodes)
        if node.op_type in _ROUNDING
        and (node.output[0] == tensor if tensor else _is_summed(model, node.output[0]))
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(node.output[0] for _, node in found)
    raise InputError(
        f"{len(found)} rounded tensors could be durations{': ' * bool(found)}{names}",
        hint="name the one that holds a sound's frames: durations ="
        if found
        else "is this a text-to-speech model? name another family",
    )


def _is_summed(model: ModelProto, name: str) -> bool:
    """Whether a tensor gets into a sum through nothing but what keeps the count of its numbers."""
    todo, seen = [name], {name}
    while todo:
        for node in _users(model, todo.pop()):
            if node.op_type in _SUMMED:
                return True
            if node.op_type in _SAME_COUNT:
                todo += [o for o in node.output if o not in seen]
                seen.update(node.output)
    return False


def _users(model: ModelProto, name: str) -> Iterator[NodeProto]:
    return (node for node in model.graph.node if name in node.input)


def _any_shape(name: str, dtype: type[np.generic]) -> ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, None)
