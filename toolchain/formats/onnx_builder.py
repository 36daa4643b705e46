"""Builds an ONNX graph node by node; names are counted, so the same calls give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from toolchain.errors import InputError

MICROSOFT = "com.microsoft"  # onnxruntime's own operators

_IR_VERSION = 10  # of ONNX 1.16, which defines opset 21
_OPSET = 21
_MOST_BYTES = 2**31 - 2**24  # protobuf's limit, less 16 MiB for nodes and metadata

Attribute = int | float | str | Sequence[int]


@dataclass(frozen=True)
class GraphBuilder:
    """The nodes and constants so far."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)

    def add(
        self, op: str, *inputs: str, outputs: Sequence[str] = (), **attributes: Attribute
    ) -> str:
        """Append a node of one output, or of the named ``outputs``; return the first's name.

        ``op`` is ``Add`` or, in another domain, ``com.microsoft:MatMulNBits``.
        """
        domain, _, name = op.rpartition(":")
        made = list(outputs) or [f"{name}_{len(self.nodes)}"]
        node = NodeProto(op_type=name, input=inputs, output=made, domain=domain)
        node.attribute.extend(_attribute(k, v) for k, v in sorted(attributes.items()))
        self.nodes.append(node)
        return made[0]

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Keep an array under ``name``, once, and return the name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def integers(self, *values: int) -> str:
        """Keep a vector of int64 (axes, shapes, bounds) and return its name."""
        name = "i64_" + "_".join(str(v) for v in values)
        return self.constant(name, np.array(values, np.int64))

    def scalar(self, value: float, dtype: type[np.generic]) -> str:
        """Keep one number and return its name."""
        return self.constant(f"{dtype.__name__}_{value}", np.array(value, dtype))

    def model(
        self,
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[ValueInfoProto],
        metadata: Mapping[str, str],
    ) -> ModelProto:
        """Return the finished model.

        Errors:
            InputError: its weights are more than a file may hold.
        """
        size = sum(len(constant.raw_data) for constant in self.constants.values())
        if size > _MOST_BYTES:
            raise InputError(
                f"the weights take {size} bytes; an ONNX file holds {_MOST_BYTES} at most",
                hint="quantize the model to fewer bits a weight",
            )
        graph = helper.make_graph(
            self.nodes, "main", inputs, outputs, initializer=list(self.constants.values())
        )
        model = helper.make_model(
            graph,
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)],
            producer_name="vtool",
        )
        helper.set_model_props(model, dict(metadata))
        return model


def _attribute(name: str, value: Attribute) -> AttributeProto:
    return helper.make_attribute(name, value)


def value(name: str, dtype: type[np.generic], shape: Sequence[int | str]) -> ValueInfoProto:
    """Describe a graph input or output; a dimension given by name may have any size."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, shape)
