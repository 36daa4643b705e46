"""Reads, checks and writes ONNX models, and walks their graphs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx.checker import ValidationError, check_model

from toolchain.errors import FormatError, InputError

_MOST_BYTES = 2**31 - 1  # protobuf's limit


def load(data: bytes) -> ModelProto:
    """Parse a model that has all its weights inside.

    Errors:
        FormatError: not an ONNX model.
        InputError: weights lie in another file, which it names; or it is too large to be parsed.
    """
    if len(data) > _MOST_BYTES:
        raise InputError(
            f"the ONNX model has {len(data)} bytes, more than can be read ({_MOST_BYTES})",
            hint="export it with its weights in other files, as onnx does with external data",
        )
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise FormatError("this is no ONNX model, or it is cut,", 0) from error
    if not model.HasField("graph"):
        raise FormatError("this ONNX model has no graph,", 0)
    for tensor in tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise InputError(
                f"the weights of {tensor.name!r} lie in another file, {location(tensor)!r}",
                hint="a step inline-weights puts them into the model",
            )
    return model


def serialized(model: ModelProto) -> bytes:
    """Return the bytes of ``model``; map entries in sorted order, so always the same."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def broken_rule(model: ModelProto) -> str:
    """Return the rule of the ONNX specification that ``model`` breaks; empty if none."""
    try:
        check_model(model)
    except ValidationError as error:
        return " ".join(str(error).split())
    return ""


def location(tensor: TensorProto) -> str:
    """Return the file that holds a tensor's data, as written in the model."""
    return next((e.value for e in tensor.external_data if e.key == "location"), "")


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """Return the graphs in a node's attributes: branches, loop bodies."""
    found = []
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            found.append(attribute.g)
        found.extend(attribute.graphs)
    return found


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield ``graph`` and all graphs inside it, outer before inner."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from graphs(inner)


def function_nodes(function: FunctionProto) -> Iterator[NodeProto]:
    """Yield the nodes of a model-local function and of the graphs inside it."""
    for node in function.node:
        yield node
        for inner in subgraphs(node):
            for graph in graphs(inner):
                yield from graph.node


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Yield all nodes: of the main graph, of the graphs inside it, of functions."""
    for graph in graphs(model.graph):
        yield from graph.node
    for function in model.functions:
        yield from function_nodes(function)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Yield all stored tensors: initializers and those in attributes."""
    for graph in graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


class _Droppable(Protocol):
    """A repeated field of messages with names."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...  # noqa: ANN401 - any message

    def __delitem__(self, index: int, /) -> None: ...


class _Refillable(Protocol):
    """A repeated field of a protobuf message."""

    def __delitem__(self, index: slice) -> None: ...

    def extend(self, items: Iterable[Any], /) -> None: ...


def refill(field: _Refillable, items: Sequence[Any]) -> None:
    """Make ``items``, some of which may come from ``field`` itself, its new content."""
    del field[:]
    field.extend(items)


def drop(field: _Droppable, names: Collection[str]) -> None:
    """Take the members called one of ``names`` out of a repeated field, in place.

    Unlike ``refill`` this copies nothing: a protobuf message keeps the memory of what it held.
    """
    for place in reversed(range(len(field))):
        if field[place].name in names:
            del field[place]
