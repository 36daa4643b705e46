"""Reads what an ONNX file holds, with the byte range of every tensor, without loading it.

Walks the file's messages itself: no weight is copied, a cut or hostile file gives an error with an
offset, and models larger than protobuf's limit can be read.

Source: onnx.proto (ONNX 1.19); field numbers are quoted beside their names below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolchain.errors import FormatError
from toolchain.formats.model_inventory import (
    Inventory,
    Readers,
    Scope,
    StoredEntry,
    StoredTensor,
    value_text,
)
from toolchain.formats.protobuf_wire import Field, Span, grouped, signed, text, varint
from toolchain.formats.tensor_types import BITS, TYPE_NAMES

_MOST_DEEP = 32  # graphs in graphs; ours: silero_vad, the deepest we know, has 5

# float_data, int32_data, string_data, int64_data, double_data, uint64_data
_TYPED_FIELDS = (4, 5, 6, 7, 10, 11)
_MOST_PER_BYTE = 4  # numbers of two bits
_LENGTH_DIGITS = 20  # of 64 bits; a longer number is none


def inventory(data: memoryview) -> Inventory:
    """Return what the model holds.

    Errors:
        FormatError: not an ONNX model, cut, or nested too deep.
    """
    found = Inventory()
    _Reader(data, found).model()
    found.external.sort()
    return found


@dataclass(frozen=True)
class _Reader:
    """Walks one file and books what it sees in ``found``."""

    data: memoryview
    found: Inventory

    def model(self) -> None:
        parts = grouped(self.data, Span(0, len(self.data)))
        if not parts[7]:  # graph
            raise FormatError("not an ONNX model: there is no graph,", 0)
        self._about(parts)
        scope = Scope()
        for main in parts[7]:
            self._graph(main.span, scope, 0)
            self._interface(main.span)
        for training in parts[20]:  # training_info: initialization 1, algorithm 2
            inner = grouped(self.data, training.span)
            for graph in inner[1] + inner[2]:
                self._inner(graph.span, scope, 1)
        for function in parts[25]:
            self._function(function.span)

    def _about(self, parts: Mapping[int, list[Field]]) -> None:
        self.found.producer = self._last(parts[2])  # producer_name
        for imported in parts[8]:  # opset_import: domain 1, version 2
            pair = grouped(self.data, imported.span)
            version = pair[2][-1].signed if pair[2] else 0
            self.found.opsets[self._last(pair[1])] = version
        for entry in parts[14]:  # metadata_props
            key, _ = self._pair(entry.span)
            self.found.metadata.append(StoredEntry(key, entry.start, entry.span.end))

    def _interface(self, graph: Span) -> None:
        parts = grouped(self.data, graph)
        stored = {self._last(grouped(self.data, t.span)[8]) for t in parts[5]}
        given = [self._value(value.span) for value in parts[11]]  # input
        self.found.inputs += [shown for name, shown in given if name not in stored]
        self.found.outputs += [self._value(value.span)[1] for value in parts[12]]  # output

    def _function(self, span: Span) -> None:
        parts = grouped(self.data, span)
        called = _called(self._last(parts[10]), self._last(parts[1]))  # domain, name
        self.found.functions.add(called)
        scope = Scope()  # a function sees no value of the graph that calls it
        for node in parts[7]:  # node
            self._node(node.span, scope, 1)
        for output in self._texts(parts[5]):  # output
            scope.output(output)

    def _graph(self, span: Span, scope: Scope, depth: int) -> None:
        """Book a graph; ``scope`` is its own."""
        if depth > _MOST_DEEP:
            raise FormatError(f"more than {_MOST_DEEP} graphs in one another", span.start)
        parts = grouped(self.data, span)
        for node in parts[1]:  # node
            self._node(node.span, scope, depth)
        for tensor in parts[5]:  # initializer
            self._tensor(tensor, "", scope.define(self._name(tensor, 8)))
        for sparse in parts[15]:  # sparse_initializer: its values have its name
            values = grouped(self.data, sparse.span)[1]
            self._sparse(sparse, "", scope.define(self._name(values[-1], 8) if values else ""))
        for value in parts[11]:  # input
            scope.define(self._name(value, 1))
        for value in parts[12]:  # output
            scope.output(self._name(value, 1))

    def _inner(self, span: Span, outer: Scope, depth: int) -> None:
        scope = Scope()
        self._graph(span, scope, depth)
        outer.join(scope)

    def _node(self, span: Span, scope: Scope, depth: int) -> None:
        parts = grouped(self.data, span)
        kind, name = self._last(parts[4]), self._last(parts[3])  # op_type, name
        called = _called(self._last(parts[7]), kind)  # domain
        self.found.operators[called] += 1
        inputs, outputs = self._texts(parts[1]), self._texts(parts[2])  # input, output
        readers = scope.node(called, name, inputs, outputs)
        owner = (outputs[0] if outputs else "") or name or kind
        for attribute in parts[5]:  # attribute
            inside = grouped(self.data, attribute.span)
            self._attribute(inside, owner, readers)
            for graph in inside[6] + inside[11]:  # g, graphs
                self._inner(graph.span, scope, depth + 1)

    def _attribute(self, parts: Mapping[int, list[Field]], owner: str, readers: Readers) -> None:
        for tensor in parts[5] + parts[10]:  # t, tensors
            self._tensor(tensor, owner, readers)
        for sparse in parts[22] + parts[23]:  # sparse_tensor, sparse_tensors
            self._sparse(sparse, owner, readers)

    def _sparse(self, field: Field, owner: str, readers: Readers) -> None:
        parts = grouped(self.data, field.span)
        for tensor in parts[1] + parts[2]:  # values, indices
            self._tensor(tensor, owner, readers)

    def _tensor(self, field: Field, owner: str, readers: Readers) -> None:
        """Book a TensorProto, its tag included; ``owner`` is the result of the node it is in."""
        parts = grouped(self.data, field.span)
        dims = [size for part in parts[1] for size in self._numbers(part)]  # dims
        number = parts[2][-1].value if parts[2] else 0  # data_type
        dtype = TYPE_NAMES.get(number, f"type {number}")
        name = self._last(parts[8]) or owner  # name
        external = dict(self._pair(entry.span) for entry in parts[13])  # external_data
        elements = self._elements(name, dims, dtype, parts, external)
        location = external.get("location", "")
        self.found.tensors.append(
            StoredTensor(
                name, dtype, tuple(dims), field.start, field.span.end, elements, location, readers
            )
        )
        if location and location not in self.found.external:
            self.found.external.append(location)

    def _elements(
        self,
        name: str,
        dims: list[int],
        dtype: str,
        parts: Mapping[int, list[Field]],
        external: Mapping[str, str],
    ) -> int:
        """Return how many numbers the tensor holds; 0, and a problem, where that cannot be."""
        declared = math.prod(dims)
        length = external.get("length", "")
        stored = sum(part.span.end - part.span.start for part in parts[9])  # raw_data
        if length.isdecimal():
            stored = int(length[:_LENGTH_DIGITS])
        typed = sum(p.span.end - p.span.start or 1 for n in _TYPED_FIELDS for p in parts[n])
        if any(size < 0 for size in dims):
            fits = False
        elif external and not length:
            fits = True  # all of the other file: its size is not known here
        elif typed and not stored:
            fits = declared <= typed * _MOST_PER_BYTE
        else:
            fits = dtype not in BITS or -(-declared * BITS[dtype] // 8) == stored
        if not fits:
            shape = value_text(name, dtype, dims)
            self.found.problems.append(f"tensor {shape} does not fit its {stored or typed} bytes")
        return declared if fits else 0

    def _numbers(self, part: Field) -> list[int]:
        """Return one number, or the packed numbers of a repeated field."""
        if part.span.start == part.span.end or part.is_number:
            return [part.signed] if part.is_number else []
        found, at = [], part.span.start
        while at < part.span.end:
            value, at = varint(self.data, at, part.span.end)
            found.append(signed(value))
        return found

    def _value(self, span: Span) -> tuple[str, str]:
        """Return the name of a ValueInfoProto and its description."""
        parts = grouped(self.data, span)
        name, dtype = self._last(parts[1]), "?"
        shape: list[int | str] = []
        for kind in parts[2]:  # type
            for tensor in grouped(self.data, kind.span)[1]:  # tensor_type
                inner = grouped(self.data, tensor.span)
                for element in inner[1]:  # elem_type
                    dtype = TYPE_NAMES.get(element.value, f"type {element.value}")
                for sizes in inner[2]:  # shape: dim 1
                    shape = [self._size(d.span) for d in grouped(self.data, sizes.span)[1]]
        return name, value_text(name, dtype, shape)

    def _size(self, dimension: Span) -> int | str:
        parts = grouped(self.data, dimension)
        if parts[1]:  # dim_value
            return parts[1][-1].signed
        return self._last(parts[2]) or "?"  # dim_param

    def _pair(self, span: Span) -> tuple[str, str]:
        """Return key 1 and value 2 of an entry."""
        parts = grouped(self.data, span)
        return self._last(parts[1]), self._last(parts[2])

    def _name(self, field: Field, number: int) -> str:
        """Return the name of a message, its field ``number``."""
        return self._last(grouped(self.data, field.span)[number])

    def _texts(self, strings: Sequence[Field]) -> list[str]:
        return [text(self.data, string.span) for string in strings]

    def _last(self, strings: Sequence[Field]) -> str:
        """Return a string field; the last one counts, as in protobuf."""
        return text(self.data, strings[-1].span) if strings else ""


def _called(domain: str, name: str) -> str:
    """Return how an operator is called: without the domains that everybody knows."""
    return name if domain in {"", "ai.onnx", "com.microsoft"} else f"{domain}:{name}"
