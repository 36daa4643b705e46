"""Finds the matrix products of an ONNX model whose weights are known, to write them in another way.

``MatMul`` and ``Gemm`` on float32, and onnxruntime's ``MatMulNBits``; also inside If and Loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.formats.onnx_builder import MICROSOFT
from toolchain.formats.onnx_cleanup import clean
from toolchain.formats.onnx_constants import Array, Scope, scopes
from toolchain.formats.onnx_inline import definitions, free_name
from toolchain.formats.onnx_model import refill

_NIBBLE = 4  # bits
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """``activations @ weights + bias``, a node of a graph.

    Shapes:
        weights: (K, N), float32
    """

    node: NodeProto
    activations: str
    weights: Weights
    bias: str = ""  # name of what is added to the product; "" if nothing is


def product_of(node: NodeProto, scope: Scope) -> Product | None:
    """Return ``node`` as a product; None if it is none, or its weights are not known."""
    if not node.domain and node.op_type in {"MatMul", "Gemm"}:
        return _float_product(node, scope)
    if node.domain == MICROSOFT and node.op_type == "MatMulNBits":
        return _block_product(node, scope)
    return None


def _float_product(node: NodeProto, scope: Scope) -> Product | None:
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if given.get("transA") or given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
        return None
    weights = scope.array(node.input[1])
    if weights is None or weights.dtype != np.float32 or weights.ndim != 2:  # noqa: PLR2004 - a matrix
        return None
    numbers = weights.astype(np.float32)
    if not numbers.size or not np.isfinite(numbers).all():
        return None
    bias = node.input[2] if len(node.input) > 2 else ""  # noqa: PLR2004 - Gemm's third input
    return Product(node, node.input[0], numbers.T if given.get("transB") else numbers, bias)


def _block_product(node: NodeProto, scope: Scope) -> Product | None:
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    inputs = [*node.input, *[""] * (6 - len(node.input))]
    activations, *stored, group, bias = inputs
    arrays = [scope.array(name) for name in stored if name]
    if group or given["bits"] not in {4, 8} or any(a is None for a in arrays):
        return None
    known = [a for a in arrays if a is not None]
    if len(known) > 2 and known[2].dtype != np.uint8:  # noqa: PLR2004 - float zero points
        return None
    return Product(node, activations, _unpacked(given, known), bias)


def _unpacked(given: Mapping[str, int], stored: list[Array]) -> Weights:
    """Return (K, N) float32 from MatMulNBits' blocks.

    Source: onnxruntime, ContribOperators.md, MatMulNBits; B is (N, blocks, bytes), and of two codes
    in a byte the lower comes first.
    """
    columns, width, bits = given["N"], given["K"], given["bits"]
    codes = _codes(stored[0].reshape(columns, -1), bits)
    blocks = codes.shape[1] // given["block_size"]
    codes = codes.reshape(columns, blocks, -1).astype(np.float32)
    zeros = np.full((columns, blocks), 1 << (bits - 1), np.float32)
    if len(stored) > 2:  # noqa: PLR2004 - zero points are there
        zeros = _codes(stored[2].reshape(columns, -1), bits)[:, :blocks].astype(np.float32)
    scales = stored[1].astype(np.float32).reshape(columns, blocks, 1)
    numbers = (codes - zeros[:, :, None]) * scales
    return np.ascontiguousarray(numbers.reshape(columns, -1)[:, :width].T)


def _codes(packed: Array, bits: int) -> NDArray[np.uint8]:
    data = packed.view(np.uint8)
    if bits != _NIBBLE:
        return data
    return np.stack([data & 15, data >> _NIBBLE], axis=-1).reshape(len(data), -1)


@dataclass(frozen=True)
class Writer:
    """Collects the nodes and constants that replace others; names are new to the whole model."""

    names: Counter[str]
    constants: dict[str, TensorProto]  # all go to the main graph, where every graph can read them
    nodes: list[NodeProto]

    def add(
        self, op: str, inputs: list[str], *outputs: str, **attributes: int | Sequence[int]
    ) -> None:
        """Append a node ``op`` (``domain:Name`` outside of ONNX)."""
        domain, _, name = op.rpartition(":")
        node = helper.make_node(name, inputs, outputs, domain=domain)
        node.attribute.extend(helper.make_attribute(k, v) for k, v in sorted(attributes.items()))
        self.nodes.append(node)

    def constant(self, name: str, array: Array) -> str:
        """Keep ``array`` under a free name like ``name``; return that."""
        free = self.free(name)
        self.constants[free] = numpy_helper.from_array(np.ascontiguousarray(array), free)
        return free

    def free(self, name: str) -> str:
        """Return ``name``, or one like it that nothing has yet; taken from now on."""
        return free_name(name, self.names)


Rewrite = Callable[[NodeProto, Scope, Writer], bool]
"""Writes what replaces a node and returns True; or returns False, and the node stays."""


def rewritten(model: ModelProto, rewrites: Callable[[], Rewrite]) -> bool:
    """Replace nodes in all graphs of ``model`` and drop what nothing reads any more.

    ``rewrites`` gives a new ``Rewrite`` for each graph, so that it can remember what it wrote in
    it. Returns False, and leaves the model as it is, where no node was replaced.
    """
    names = definitions(model.graph)
    constants: dict[str, TensorProto] = {}
    results = [
        (scope.graph, *_nodes(scope, rewrites(), Writer(names, constants, [])))
        for scope in scopes(model.graph)
    ]
    if not any(changed for _, _, changed in results):
        return False
    for graph, nodes, changed in reversed(results):  # inner first: outer nodes hold copies of them
        if changed:
            refill(graph.node, nodes)
    model.graph.initializer.extend(constants.values())
    clean(model, keep_inputs={value.name for value in model.graph.input})
    return True


def _nodes(scope: Scope, rewrite: Rewrite, writer: Writer) -> tuple[list[NodeProto], bool]:
    changed = False
    for node in scope.graph.node:
        if rewrite(node, scope, writer):
            changed = True
        else:
            writer.nodes.append(node)
    return writer.nodes, changed


def with_domain(model: ModelProto, domain: str) -> None:
    """Say that ``model`` uses operators of ``domain``, version 1, unless it says so already."""
    if all(opset.domain != domain for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(domain, 1))
