"""Keeps one of two matrices of which one is the other's transpose: a tied embedding, mostly."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.formats.onnx_folding import store_constants, with_shapes
from toolchain.formats.onnx_inline import definitions, free_name, rename
from toolchain.formats.onnx_model import drop, graphs, subgraphs
from toolchain.formats.onnx_rewrite import with_constants_apart
from toolchain.formats.onnx_sharing import fixed_names, read_inside, share_equal

_AXES = 2  # of a matrix
_NOWHERE = -1
# Types whose numbers numpy holds one by one; of the 4-bit ones two are in a byte.
_PLAIN = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
    | {TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64}
    | {TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64}
)
Lookup = tuple[int, NodeProto]  # the number of a graph, and a Gather in it


def shared_weights(model: ModelProto, *, least_bytes: int | None) -> ModelProto | None:
    """Return ``model``, changed, with equal weights once, also those in Constant nodes.

    Of transposed matrices of ``least_bytes`` or more one is kept; with None they are not looked
    for. None if there is nothing to share.
    """
    model = with_constants_apart(model)
    for graph in graphs(model.graph):
        store_constants(graph)
    changed = share_equal(model.graph)
    while least_bytes is not None and share_transposed(model, least_bytes=least_bytes):
        changed = True
        share_equal(model.graph)  # copies in branches may have met in the graph around these
    return model if changed else None


def share_transposed(model: ModelProto, *, least_bytes: int) -> bool:
    """Keep one of each two transposed matrices; return whether there were any.

    Where the one that goes is only looked up in, row by row, its readers look up columns of the
    other and transpose what they found: no copy is made, not even in memory. Else a Transpose
    makes it, which onnxruntime does once, while it loads.
    """
    places = list(_places(model.graph))
    pairs = list(_pairs(model.graph, places, least_bytes))
    if not pairs:
        return False
    work = _Work([p.graph for p in places], _ranks(model), definitions(model.graph))
    for left, right, target in pairs:
        for kept, gone in ((left, right), (right, left)):
            if lookups := work.lookups(gone):
                work.look_up_columns(work.moved(kept, target), lookups)
                break
        else:
            kept, gone = left, right
            work.transpose(work.moved(kept, target), gone, target)
        work.drop(gone)
    return True


@dataclass(frozen=True)
class _Place:
    """A graph, the number of the one around it, and the names that graphs inside it mention."""

    graph: GraphProto
    outer: int
    deep: frozenset[str]


def _places(graph: GraphProto) -> Iterator[_Place]:
    """Yield the graphs of a model, outer first, as ``graphs`` does; around the main one is none."""
    count = 0

    def walk(graph: GraphProto, outer: int) -> Iterator[_Place]:
        nonlocal count
        number, count = count, count + 1
        yield _Place(graph, outer, read_inside(graph))
        for node in graph.node:
            for inner in subgraphs(node):
                yield from walk(inner, number)

    return walk(graph, _NOWHERE)


@dataclass(frozen=True)
class _Matrix:
    """An initializer with two axes, and the number of the graph it is in."""

    home: int
    tensor: TensorProto

    def digest(self, *, transposed: bool = False) -> bytes:
        array = numpy_helper.to_array(self.tensor)
        laid_out = np.ascontiguousarray(array.T if transposed else array)
        return hashlib.sha256(laid_out.tobytes()).digest()


def _pairs(
    main: GraphProto, places: Sequence[_Place], least_bytes: int
) -> Iterator[tuple[_Matrix, _Matrix, int]]:
    """Yield pairs and the graph where both can be read; a symmetric matrix is no pair."""
    fixed = fixed_names(main)
    waiting: dict[tuple[int, int, int], list[_Matrix]] = {}
    for number, place in enumerate(places):
        for tensor in place.graph.initializer:
            if not _is_candidate(tensor, least_bytes) or tensor.name in fixed:
                continue
            matrix = _Matrix(number, tensor)
            rows, columns = tensor.dims
            others = waiting.setdefault((tensor.data_type, columns, rows), [])
            mine = matrix.digest(transposed=True) if others else b""
            for other in others if mine != matrix.digest() else ():
                target = _meeting(other, matrix, places)
                if target != _NOWHERE and other.digest() == mine:
                    others.remove(other)
                    yield other, matrix, target
                    break
            else:
                waiting.setdefault((tensor.data_type, rows, columns), []).append(matrix)


def _meeting(left: _Matrix, right: _Matrix, places: Sequence[_Place]) -> int:
    """Return the graph that no reader of either is more than one graph away from, or nowhere."""
    outer = {left.home: places[left.home].outer, right.home: places[right.home].outer}
    for target in dict.fromkeys((left.home, right.home, outer[left.home])):
        if target != _NOWHERE and all(
            m.home == target
            or (outer[m.home] == target and m.tensor.name not in places[m.home].deep)
            for m in (left, right)
        ):
            return target
    return _NOWHERE


def _is_candidate(tensor: TensorProto, least_bytes: int) -> bool:
    return (
        len(tensor.dims) == _AXES
        and min(tensor.dims) > 1
        and tensor.data_type in _PLAIN
        and tensor.data_location != TensorProto.EXTERNAL
        and tensor.ByteSize() >= least_bytes
    )


@dataclass(frozen=True)
class _Work:
    """The graphs of a model by number, what is known of each, and who defines which name."""

    graphs: Sequence[GraphProto]
    ranks: Sequence[Mapping[str, int]]  # axes of the values that each graph can read
    names: Counter[str]

    def lookups(self, matrix: _Matrix) -> list[Lookup]:
        """Return the readers of ``matrix`` if all of them look up rows; else nothing."""
        found: list[Lookup] = []
        inside = {id(g) for g in graphs(self.graphs[matrix.home])}
        for number, graph in enumerate(self.graphs):
            for node in graph.node if id(graph) in inside else ():
                if matrix.tensor.name not in node.input:
                    continue
                if not _looks_up_rows(node, matrix.tensor.name, self.ranks[number]):
                    return []
                found.append((number, node))
        return found

    def moved(self, matrix: _Matrix, target: int) -> str:
        """Put ``matrix`` into the graph ``target``; return its name there."""
        name = matrix.tensor.name
        if matrix.home == target:
            return name
        copy = TensorProto()
        copy.CopyFrom(matrix.tensor)
        self.drop(matrix)
        if self.names[name] > 1:
            copy.name = free_name(name, self.names)
            rename(self.graphs[matrix.home], {name: copy.name})
        self.graphs[target].initializer.append(copy)
        return str(copy.name)

    def look_up_columns(self, name: str, lookups: Sequence[Lookup]) -> None:
        """Let ``lookups`` look up columns of the matrix called ``name``."""
        for number, node in lookups:
            rank = self.ranks[number][node.input[1]]
            result = node.output[0]
            node.input[0] = name
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("axis", 1))
            if rank == 0:
                continue
            node.output[0] = free_name(result, self.names)
            order = [*range(1, rank + 1), 0]
            turn = helper.make_node("Transpose", [node.output[0]], [result], perm=order)
            _insert_after(self.graphs[number], node, turn)

    def transpose(self, name: str, gone: _Matrix, target: int) -> None:
        """Compute ``gone`` from the matrix called ``name`` in the graph ``target``."""
        made = gone.tensor.name
        if gone.home != target and self.names[made] > 1:
            made = free_name(made, self.names)
            rename(self.graphs[gone.home], {gone.tensor.name: made})
        turn = helper.make_node("Transpose", [name], [made], perm=[1, 0])
        self.graphs[target].node.insert(0, turn)

    def drop(self, matrix: _Matrix) -> None:
        """Take ``matrix`` out of its graph, under its old name or the one it has now."""
        drop(self.graphs[matrix.home].initializer, {matrix.tensor.name})


def _ranks(model: ModelProto) -> list[Mapping[str, int]]:
    """Return how many axes each value has, for each graph with those around it, outer first."""
    found: list[Mapping[str, int]] = []

    def walk(graph: GraphProto, outer: Mapping[str, int]) -> None:
        own = {
            value.name: len(value.type.tensor_type.shape.dim)
            for value in [*graph.input, *graph.value_info, *graph.output]
            if value.type.tensor_type.HasField("shape")
        }
        stored = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
        visible = {**outer, **own, **stored}
        found.append(visible)
        for node in graph.node:
            for inner in subgraphs(node):
                walk(inner, visible)

    walk(with_shapes(model).graph, {})
    return found


def _insert_after(graph: GraphProto, node: NodeProto, new: NodeProto) -> None:
    place = next(i for i, n in enumerate(graph.node) if n.output[:1] == node.output[:1])
    graph.node.insert(place + 1, new)


def _looks_up_rows(node: NodeProto, name: str, ranks: Mapping[str, int]) -> bool:
    if node.op_type != "Gather" or node.domain or node.input[0] != name:
        return False
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    return axis in {0, -_AXES} and node.input[1] != name and node.input[1] in ranks
