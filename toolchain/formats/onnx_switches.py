"""Inputs that decide which branch of a model runs, and the model with them decided."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto

from toolchain.formats import onnx_model
from toolchain.formats.onnx_runner import Array
from toolchain.formats.onnx_specialize import specialize


def switches(model: ModelProto) -> tuple[str, ...]:
    """Return the inputs on which conditions of the main graph's If nodes depend, sorted."""
    makers = {name: node for node in model.graph.node for name in node.output}
    waiting = [node.input[0] for node in model.graph.node if node.op_type == "If"]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in makers:
            waiting.extend(makers[name].input)
    return tuple(sorted(seen & {value.name for value in model.graph.input}))


def decided(data: bytes, values: Mapping[str, Array]) -> bytes:
    """Return the model with these inputs bound; weights and values keep their names."""
    model = specialize(onnx_model.load(data), dict(values), keep_inputs=True)
    return onnx_model.serialized(model)
