"""Finds where the numbers of each tensor lie in an ONNX file, to cut them out and put them back.

A package carries the file without its weights, byte for byte, and the weights beside it. Put
together again it is the same file, whoever wrote it, and nobody needs a protobuf writer for that.

Source: onnx.proto (ONNX 1.19); field numbers are quoted beside their names below.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from onnx import TensorProto, numpy_helper

from toolchain.errors import FormatError, InputError
from toolchain.formats import onnx_model
from toolchain.formats.protobuf_wire import Field, Span, grouped, signed, text, varint
from toolchain.formats.tensor_types import TYPE_NAMES

_MOST_DEEP = 32  # graphs in graphs, as in onnx_wire
_RAW_DATA = 9
# packed numbers in these fields are the bytes that raw_data would hold
_TYPED: Mapping[int, int] = {TensorProto.FLOAT: 4, TensorProto.DOUBLE: 10}

_Parts = Mapping[int, list[Field]]


@dataclass(frozen=True, slots=True)
class Slot:
    """One stored tensor: what it is, and where its numbers lie, [``start``, ``end``).

    ``start`` is -1 where they are not plain little-endian bytes: varints, strings, or none.
    """

    name: str
    type: int  # TensorProto.DataType
    shape: tuple[int, ...]
    start: int = -1
    end: int = -1

    @property
    def dtype(self) -> str:
        """Name of the type, as in ``tensor_types``."""
        return TYPE_NAMES.get(self.type, f"type {self.type}")


def opened(data: bytes, needed: frozenset[int] = frozenset()) -> tuple[bytes, list[Slot]]:
    """Return a model and its slots, one for each of ``onnx_model.tensors(model)``, in that order.

    The model is ``data`` itself; only if it is written unusually, or one of the ``needed`` slots
    (positions) has no plain bytes, it is the same model written anew.

    Errors:
        FormatError: not an ONNX model.
        InputError: weights lie in another file.
    """
    try:
        found = slots(memoryview(data))
    except FormatError:
        data = onnx_model.serialized(onnx_model.load(data))
        found = slots(memoryview(data))
    if all(found[i].start >= 0 for i in needed if i < len(found)):
        return data, found
    data = _with_plain_bytes(data, needed)
    return data, slots(memoryview(data))


def slots(data: memoryview) -> list[Slot]:
    """Return the slots of a model as it is written.

    Errors:
        FormatError: not an ONNX model, graphs are nested too deep, or it is legal, but written as
            no exporter does: in two pieces where one is enough.
        InputError: weights lie in another file.
    """
    return list(_Walk(data).slots())


def _with_plain_bytes(data: bytes, needed: frozenset[int]) -> bytes:
    """Return the model with the ``needed`` tensors as raw_data."""
    model = onnx_model.load(data)
    for position, tensor in enumerate(onnx_model.tensors(model)):
        if position in needed and not tensor.raw_data:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), name))
    return onnx_model.serialized(model)


@dataclass(frozen=True)
class _Walk:
    """Walks a file in the order of ``onnx_model.tensors``."""

    data: memoryview

    def slots(self) -> Iterator[Slot]:
        """Yield all slots: those of the graphs, outer before inner, then those of attributes."""
        model = self._parts(Span(0, len(self.data)))
        main = self._one(model, 7)  # graph
        if main is None:
            raise FormatError("this ONNX model has no graph,", 0)
        graphs = list(self._graphs(main.span, 0))
        for graph in graphs:
            yield from self._stored(graph)
        for graph in graphs:
            for node in graph[1]:  # node
                yield from self._attributes(node.span)
        for function in model[25]:  # functions: node 7
            for node in self._parts(function.span)[7]:
                yield from self._function_node(node.span)

    def _stored(self, graph: _Parts) -> Iterator[Slot]:
        for tensor in graph[5]:  # initializer
            yield self._slot(tensor.span)
        for sparse in graph[15]:  # sparse_initializer
            parts = self._parts(sparse.span)
            for number in (1, 2):  # values, indices
                part = self._one(parts, number)
                yield Slot("", 0, ()) if part is None else self._slot(part.span)

    def _graphs(self, span: Span, depth: int) -> Iterator[_Parts]:
        if depth > _MOST_DEEP:
            raise FormatError(f"more than {_MOST_DEEP} graphs in one another", span.start)
        graph = self._parts(span)
        yield graph
        for node in graph[1]:
            for inner in self._subgraphs(node.span):
                yield from self._graphs(inner, depth + 1)

    def _subgraphs(self, node: Span) -> Iterator[Span]:
        for attribute in self._parts(node)[5]:  # attribute
            parts = self._parts(attribute.span)
            graph = self._one(parts, 6)  # g
            kind = parts[20][-1].value if parts[20] else 0  # its type; 5 is a graph
            if kind == 5:  # noqa: PLR2004 - as named above
                yield graph.span if graph else Span(0, 0)
            for one in parts[11]:  # graphs
                yield one.span

    def _function_node(self, node: Span) -> Iterator[Slot]:
        yield from self._attributes(node)
        for inner in self._subgraphs(node):
            for graph in self._graphs(inner, 1):
                for one in graph[1]:
                    yield from self._attributes(one.span)

    def _attributes(self, node: Span) -> Iterator[Slot]:
        for attribute in self._parts(node)[5]:
            parts = self._parts(attribute.span)
            tensor = self._one(parts, 5)  # t
            if tensor is not None:
                yield self._slot(tensor.span)
            for one in parts[10]:  # tensors
                yield self._slot(one.span)

    def _slot(self, span: Span) -> Slot:
        parts = self._parts(span)
        name = text(self.data, parts[8][-1].span) if parts[8] else ""  # name
        if parts[14] and parts[14][-1].value == TensorProto.EXTERNAL:  # data_location
            raise InputError(
                f"the weights of {name!r} lie in another file",
                hint="save the model with its weights inside",
            )
        shape = tuple(size for part in parts[1] for size in self._sizes(part))  # dims
        number = parts[2][-1].value if parts[2] else 0  # data_type
        field = self._one(parts, _RAW_DATA) or self._one(parts, _TYPED.get(number, _RAW_DATA))
        if field is None or field.is_number:
            return Slot(name, number, shape)
        return Slot(name, number, shape, field.span.start, field.span.end)

    def _sizes(self, part: Field) -> Iterator[int]:
        """Yield one size, or the packed ones."""
        if part.is_number:
            yield part.signed
            return
        at = part.span.start
        while at < part.span.end:
            value, at = varint(self.data, at, part.span.end)
            yield signed(value)

    def _parts(self, span: Span) -> _Parts:
        return grouped(self.data, span)

    @staticmethod
    def _one(parts: _Parts, number: int) -> Field | None:
        """Return a field that is there at most once; protobuf would merge two, we do not."""
        if len(parts[number]) > 1:
            raise FormatError(f"field {number} is in two pieces", parts[number][1].start)
        return parts[number][0] if parts[number] else None


class Holed:
    """A file of which only the skeleton is there; who reads into a hole gets an error.

    Reads like a memoryview as far as ``protobuf_wire`` needs it.
    """

    def __init__(self, skeleton: bytes, holes: Sequence[tuple[int, int]]) -> None:
        """``holes``: place in the skeleton and size of each, in file order."""
        self._skeleton = skeleton
        self._starts: list[int] = []  # of each solid piece, in the whole file
        self._pieces: list[tuple[int, int]] = []  # the same pieces in the skeleton
        at = before = 0
        for place, size in (*holes, (len(skeleton), 0)):
            self._starts.append(at)
            self._pieces.append((before, place))
            at += place - before + size
            before = place
        self._size = at

    def view(self) -> memoryview:
        """Return this, for functions that say they take a memoryview."""
        return cast("memoryview", self)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int | slice) -> int | bytes:
        if isinstance(index, int):
            return self._solid(index, index + 1)[0]
        start, end, _ = index.indices(self._size)
        return self._solid(start, end) if end > start else b""

    def _solid(self, start: int, end: int) -> bytes:
        piece = bisect_right(self._starts, start) - 1
        first, last = self._pieces[piece]
        place = first + start - self._starts[piece]
        if place + end - start > last:
            raise FormatError("the skeleton reads into a tensor", 0)
        return self._skeleton[place : place + end - start]
