"""Makes values inside a model visible, as outputs."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from onnx import ValueInfoProto, numpy_helper

from toolchain.formats import onnx_model


def exposed(data: bytes, values: Collection[str]) -> bytes:
    """Return the model with ``values`` of its main graph as outputs, after its own.

    Their types are left open: onnxruntime infers them. Inputs and outputs that already are some
    are left out.
    """
    model = onnx_model.load(data)
    known = {v.name for v in (*model.graph.output, *model.graph.input)}
    known |= {t.name for t in model.graph.initializer}
    made = {name for node in model.graph.node for name in node.output}
    for name in sorted((set(values) & made) - known):
        model.graph.output.append(ValueInfoProto(name=name))
    return onnx_model.serialized(model)


def constants(data: bytes, values: Collection[str]) -> dict[str, NDArray[np.generic]]:
    """Return those of ``values`` that are stored in the main graph."""
    graph = onnx_model.load(data).graph
    wanted = set(values)
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name in wanted}
