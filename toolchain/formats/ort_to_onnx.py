"""Writes an ORT model, onnxruntime's own format, as the ONNX model that it was made of.

An ORT file holds the graph as onnxruntime optimized it: fused operators stay, under the domains
that onnxruntime gave them (``com.microsoft``), and run wherever onnxruntime does. Tensors are
copied as they lie. Edges, kernel tables and recorded optimizations are onnxruntime's notes to
itself and follow from the graph; they and doc strings below the model are left out.

Two things cannot come back: weights that were rearranged for the vector registers of one machine
(``com.microsoft.nchwc``, ``com.ms.internal.nhwc``), and nodes that were compiled for one.

Source: onnxruntime/core/flatbuffers/schema/ort.fbs; slot numbers are quoted beside their names.
"""

from __future__ import annotations

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    ValueInfoProto,
    numpy_helper,
)

from toolchain.errors import FormatError, InputError
from toolchain.formats.flatbuffer import Buffer, Table
from toolchain.formats.onnx_model import nodes
from toolchain.formats.onnx_order import sort_nodes
from toolchain.formats.ort_model import IDENTIFIER
from toolchain.formats.ort_types import read_type

_MOST_DEEP = 24  # ours: protobuf reads messages 100 deep, and a graph in a graph takes three
_MOST_BYTES = 2**31 - 2**20  # protobuf's limit, less some room for what is written differently
_OLDEST_IR = 4  # the first in which an initializer need not be an input as well
_NO_VERSION = 2**63 - 1  # what onnxruntime writes for a model that has none
_FUSED = 1  # NodeType.Fused
_MACHINE_DOMAINS = ("com.microsoft.nchwc", "com.ms.internal.nhwc")


def to_onnx(data: bytes | memoryview) -> ModelProto:
    """Return the model, its nodes in an order that ONNX allows.

    Errors:
        FormatError: not an ORT model, cut, nested too deep, or full of circles.
        InputError: it holds what ONNX cannot say; the message names the node or tensor.
    """
    view = memoryview(data)
    if bytes(view[4:8]) != IDENTIFIER:
        raise FormatError("not an ORT model", 0)
    if len(view) > _MOST_BYTES:
        raise InputError("the ORT model is larger than an ONNX file can be (2 GiB)")
    stored = Buffer(view).root().table(1)  # InferenceSession.model
    graph = stored.table(7) if stored else None  # graph
    if stored is None or graph is None:
        raise FormatError("this ORT model has no graph,", 0)
    model = _about(stored)
    _fill_graph(graph, model.graph, 0)
    if about := stored.text(8):  # graph_doc_string
        model.graph.doc_string = about
    if model.ir_version < _OLDEST_IR:
        _raise_version(model)
    sort_nodes(model.graph)
    _import_domains(model, stored)
    return model


def _about(stored: Table) -> ModelProto:
    version = stored.number(5, "q", _NO_VERSION)  # model_version
    model = ModelProto(
        ir_version=stored.number(0, "q"),  # ir_version
        producer_name=stored.text(2) or None,
        producer_version=stored.text(3) or None,
        domain=stored.text(4) or None,
        model_version=None if version == _NO_VERSION else version,
        doc_string=stored.text(6) or None,
    )
    for entry in stored.tables(9):  # metadata_props: key 0, value 1
        model.metadata_props.add(key=entry.text(0), value=entry.text(1))
    return model


def _raise_version(model: ModelProto) -> None:
    """Make an old model one whose initializers are constants without being inputs.

    There every initializer had to be an input too, and none could be overridden; what
    onnxruntime's optimizer added to the initializers is no input.
    """
    model.ir_version = _OLDEST_IR
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(kept)


def _import_domains(model: ModelProto, stored: Table) -> None:
    """Import the operator sets that the nodes use; onnxruntime lists all it knows."""
    versions = {_domain(i.text(0)): i.number(1, "q") for i in stored.tables(1)}  # opset_import
    for domain in sorted({"", *(node.domain for node in nodes(model))}):
        if domain not in versions:
            raise InputError(
                f"the ORT model says no version of the operators of {domain or 'ai.onnx'!r}",
                hint="the file is incomplete; fetch it again",
            )
        model.opset_import.add(domain=domain, version=versions[domain])


def _domain(text: str) -> str:
    return "" if text == "ai.onnx" else text


def _fill_graph(stored: Table, graph: GraphProto, depth: int) -> None:
    """Fill ``graph`` in place: weights are copied once.

    onnxruntime writes tensors, attributes and types in the order of its hash tables. Here they
    stand by name, and types as their values are made.
    """
    if depth > _MOST_DEEP:
        raise FormatError(f"more than {_MOST_DEEP} graphs in one another", stored.at)
    graph.name = f"inner_{depth}" if depth else "main"  # ORT files keep no names of graphs
    for tensor in sorted(stored.tables(0), key=_name):  # initializers
        _fill_tensor(tensor, graph.initializer.add())
    for sparse in stored.tables(7):  # sparse_initializers
        _fill_sparse(sparse, graph.sparse_initializer.add())
    for node in stored.tables(2):  # nodes
        _fill_node(node, graph.node.add(), depth)
    described = {value.text(0): value for value in stored.tables(1)}  # node_args: name
    inputs, outputs = list(stored.vector(5).strings()), list(stored.vector(6).strings())
    graph.input.extend(_value(name, described.get(name)) for name in inputs)
    graph.output.extend(_value(name, described.get(name)) for name in outputs)
    made = dict.fromkeys(name for node in graph.node for name in node.output)
    shown = {*outputs}
    values = [_value(n, described[n]) for n in made if n in described and n not in shown]
    graph.value_info.extend(value for value in values if value.HasField("type"))


def _name(stored: Table) -> bytes:
    """Return the name of a tensor or attribute."""
    return stored.raw_text(0)


def _value(name: str, stored: Table | None) -> ValueInfoProto:
    info = stored.table(2) if stored else None  # type
    return ValueInfoProto(name=name, type=read_type(info) if info else None)


def _fill_node(stored: Table, node: NodeProto, depth: int) -> None:
    if name := stored.text(0):
        node.name = name
    if domain := _domain(stored.text(2)):
        node.domain = domain
    node.op_type = stored.text(5)
    if stored.number(6, "i") == _FUSED or node.domain in _MACHINE_DOMAINS:  # type
        raise InputError(
            f"the ORT model was saved for one machine: {node.op_type} {node.name!r} of the "
            f"domain {node.domain!r} works on rearranged data",
            hint="save it with onnxruntime's optimization level 'extended' or lower",
        )
    node.input.extend(stored.vector(8).strings())
    node.output.extend(stored.vector(9).strings())
    for attribute in sorted(stored.tables(10), key=_name):  # attributes
        _fill_attribute(attribute, node.attribute.add(), depth)


def _fill_attribute(stored: Table, attribute: AttributeProto, depth: int) -> None:
    attribute.name = stored.text(0)
    kind = stored.number(2, "i")  # the field "type", numbered as in ONNX
    match kind:
        case AttributeProto.FLOAT:
            attribute.f = stored.real(3)
        case AttributeProto.INT:
            attribute.i = stored.number(4, "q")
        case AttributeProto.STRING:
            attribute.s = stored.raw_text(5)
        case AttributeProto.TENSOR:
            _fill_tensor(_there(stored, 6), attribute.t)
        case AttributeProto.GRAPH:
            _fill_graph(_there(stored, 7), attribute.g, depth + 1)
        case _:
            _fill_list(stored, attribute, kind, depth)
    attribute.type = kind  # type: ignore[assignment]  # one of the cases, or refused there


def _fill_list(stored: Table, attribute: AttributeProto, kind: int, depth: int) -> None:
    match kind:
        case AttributeProto.FLOATS:
            attribute.floats.extend(stored.vector(8).reals())
        case AttributeProto.INTS:
            attribute.ints.extend(stored.vector(9, 8).numbers("q"))
        case AttributeProto.STRINGS:
            attribute.strings.extend(stored.vector(10).raw_strings())
        case AttributeProto.TENSORS:
            for tensor in stored.tables(11):
                _fill_tensor(tensor, attribute.tensors.add())
        case AttributeProto.GRAPHS:
            for graph in stored.tables(12):
                _fill_graph(graph, attribute.graphs.add(), depth + 1)
        case _:
            raise FormatError(f"the attribute {attribute.name!r} is of type {kind}", stored.at)


def _there(stored: Table, slot: int) -> Table:
    found = stored.table(slot)
    if found is None:
        raise FormatError("a part that must be there is not", stored.at)
    return found


def _fill_tensor(stored: Table, tensor: TensorProto) -> None:
    tensor.name = stored.text(0)
    if stored.number(6, "q", -1) >= 0:  # external_data_offset
        raise InputError(
            f"the weights of {tensor.name!r} lie in a file that the ORT model does not name",
            hint="save the model with its weights inside",
        )
    tensor.dims.extend(stored.vector(2, 8).numbers("q"))
    tensor.data_type = stored.number(3, "i")
    if tensor.data_type == TensorProto.STRING:
        tensor.string_data.extend(stored.vector(5).raw_strings())
    else:
        tensor.raw_data = stored.vector(4, 1).copied()


def _fill_sparse(stored: Table, sparse: SparseTensorProto) -> None:
    """Fill in a sparse tensor; onnxruntime writes places in as few bits as they need."""
    _fill_tensor(_there(stored, 0), sparse.values)
    narrow = TensorProto()
    _fill_tensor(_there(stored, 1), narrow)
    try:
        places = numpy_helper.to_array(narrow).astype(np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"the places of {sparse.values.name!r} are no numbers", stored.at
        ) from error
    sparse.indices.CopyFrom(numpy_helper.from_array(places, narrow.name))
    sparse.dims.extend(stored.vector(2, 8).numbers("q"))
