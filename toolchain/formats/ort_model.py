"""Reads what an ORT file holds, onnxruntime's own format, with the byte range of every tensor.

An ORT file is a flatbuffer with the identifier ``ORTM``: the graph as onnxruntime optimized it.
onnxruntime opens it like an ONNX file (``formats.onnx_session.session(path)``); the operators it
names may be fused ones of that build. Only the bytes of each tensor are its part: a flatbuffer
keeps names, sizes and offsets elsewhere.

Source: onnxruntime/core/flatbuffers/schema/ort.fbs; slot numbers are quoted beside their names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from toolchain.errors import FormatError
from toolchain.formats.flatbuffer import Buffer, Table
from toolchain.formats.model_inventory import Inventory, Readers, Scope, StoredTensor, value_text
from toolchain.formats.tensor_types import BITS, TYPE_NAMES

IDENTIFIER = b"ORTM"

_MOST_DEEP = 32  # graphs in graphs, as for ONNX
_LENGTH_BYTES = 4  # a vector's length lies before its elements
_TENSOR_TYPE = 1  # TypeInfoValue.tensor_type
_NAMED_SIZE = 2  # DimensionValueType.PARAM
_KNOWN_SIZE = 1  # DimensionValueType.VALUE


def inventory(data: memoryview) -> Inventory:
    """Return what the model holds.

    Errors:
        FormatError: not an ORT model, cut, nested too deep, or full of circles.
    """
    if bytes(data[4:8]) != IDENTIFIER:
        raise FormatError("not an ORT model", 0)
    found = Inventory()
    model = Buffer(data).root().table(1)  # InferenceSession.model
    graph = model.table(7) if model else None  # graph
    if model is None or graph is None:
        raise FormatError("this ORT model has no graph,", 0)
    reader = _Reader(found)
    found.producer = " ".join(
        filter(None, (model.text(2), model.text(3)))
    )  # producer name, version
    for imported in model.tables(1):  # opset_import: domain 0, version 1
        found.opsets[imported.text(0)] = imported.number(1, "q")
    reader.graph(graph, Scope(), 0)
    reader.interface(graph)
    return found


@dataclass(frozen=True)
class _Reader:
    found: Inventory
    seen: set[int] = field(default_factory=set)  # offsets of graphs and tensors

    def graph(self, graph: Table, scope: Scope, depth: int) -> None:
        """Book a graph; ``scope`` is its own."""
        if depth > _MOST_DEEP:
            raise FormatError(f"more than {_MOST_DEEP} graphs in one another", graph.at)
        if graph.at in self.seen:
            return
        self.seen.add(graph.at)
        for tensor in graph.tables(0):  # initializers
            self._tensor(tensor, "", scope.define(tensor.text(0)))
        for sparse in graph.tables(7):  # sparse_initializers
            self._sparse(sparse, scope)
        for node in graph.tables(2):  # nodes
            self._node(node, scope, depth)
        for name in graph.vector(5).strings():  # inputs
            scope.define(name)
        for name in graph.vector(6).strings():  # outputs
            scope.output(name)

    def interface(self, graph: Table) -> None:
        values = {value.text(0): value for value in graph.tables(1)}  # node_args: name
        stored = {tensor.text(0) for tensor in graph.tables(0)}
        inputs = [name for name in graph.vector(5).strings() if name not in stored]
        self.found.inputs += [_described(name, values.get(name)) for name in inputs]
        outputs = graph.vector(6).strings()
        self.found.outputs += [_described(name, values.get(name)) for name in outputs]

    def _node(self, node: Table, scope: Scope, depth: int) -> None:
        name, domain, kind = node.text(0), node.text(2), node.text(5)  # name, domain, op_type
        known = domain in {"", "ai.onnx", "com.microsoft"}
        called = kind if known else f"{domain}:{kind}"
        self.found.operators[called] += 1
        inputs, outputs = node.vector(8).strings(), list(node.vector(9).strings())
        readers = scope.node(called, name, inputs, outputs)
        for attribute in node.tables(10):  # attributes
            for tensor in filter(None, [attribute.table(6), *attribute.tables(11)]):  # t, tensors
                self._tensor(tensor, name or kind, readers)
            for graph in filter(None, [attribute.table(7), *attribute.tables(12)]):  # g, graphs
                inner = Scope()
                self.graph(graph, inner, depth + 1)
                scope.join(inner)

    def _sparse(self, sparse: Table, scope: Scope) -> None:
        values = sparse.table(0)
        readers = scope.define(values.text(0) if values else "")  # its values have its name
        for tensor in filter(None, (values, sparse.table(1))):  # values, indices
            self._tensor(tensor, "", readers)

    def _tensor(self, tensor: Table, owner: str, readers: Readers) -> None:
        if tensor.at in self.seen:
            return
        self.seen.add(tensor.at)
        name = tensor.text(0) or owner
        shape = tensor.vector(2, 8).numbers("q")  # dims
        number = tensor.number(3, "i")  # data_type
        dtype = TYPE_NAMES.get(number, f"type {number}")
        raw = tensor.vector(4, 1)  # raw_data
        if tensor.number(6, "q", -1) >= 0:  # external_data_offset
            self.found.problems.append(f"tensor {name!r} lies in a file that is not named")
        fits = all(size >= 0 for size in shape) and (
            dtype not in BITS or -(-math.prod(shape) * BITS[dtype] // 8) == raw.count
        )
        if not fits:
            text = value_text(name, dtype, shape)
            self.found.problems.append(f"tensor {text} does not fit its {raw.count} bytes")
        start = raw.head if raw.count else 0
        end = start + (_LENGTH_BYTES + raw.count if raw.count else 0)
        elements = math.prod(shape) if fits else 0
        self.found.tensors.append(
            StoredTensor(name, dtype, tuple(shape), start, end, elements, readers=readers)
        )


def _described(name: str, value: Table | None) -> str:
    """Describe a ValueInfo for people."""
    info = value.table(2) if value else None  # type
    tensor = info.table(2) if info and info.number(1, "B") == _TENSOR_TYPE else None  # value
    if tensor is None:
        return value_text(name, "?", ())
    shape = tensor.table(1)
    sizes = [_size(dimension) for dimension in shape.tables(0)] if shape else []
    number = tensor.number(0, "i")
    return value_text(name, TYPE_NAMES.get(number, f"type {number}"), sizes)


def _size(dimension: Table) -> int | str:
    value = dimension.table(0)
    kind = value.number(0, "b") if value else 0
    if value and kind == _KNOWN_SIZE:
        return value.number(1, "q")
    return (value.text(2) if value and kind == _NAMED_SIZE else "") or "?"
