"""Which inputs of a model are row numbers of a stored table, as token ids are, and of how many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnx import ModelProto, NodeProto

from toolchain.formats import onnx_model

_GATHERS = frozenset({"Gather", "GatherBlockQuantized"})
_SAME_NUMBERS = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Operators whose first input gives them their numbers, in another shape or type."""

_SAME_ROWS = frozenset({"Cast", "DequantizeLinear", "Identity"})
"""Operators whose answer has the shape of their first input."""


def table_rows(model: ModelProto) -> dict[str, int]:
    """Return, of inputs that choose rows of tables, how many the smallest of these tables has.

    A table that is computed, or of another model, tells nothing: its inputs are not there.
    """
    nodes = list(onnx_model.nodes(model))
    origin = {n.output[0]: n.input[0] for n in nodes if n.op_type in _SAME_NUMBERS and n.input}
    inputs = {value.name for value in model.graph.input}
    found: dict[str, int] = {}
    for index, rows in _choices(model, nodes):
        name = index
        for _ in range(len(nodes)):  # a damaged graph may go round in a circle
            if name not in origin:
                break
            name = origin[name]
        if name in inputs:
            found[name] = min(rows, found.get(name, rows))
    return found


def _choices(model: ModelProto, nodes: list[NodeProto]) -> Iterator[tuple[str, int]]:
    """Yield each value that chooses from a stored table, and how many rows that has."""
    shapes = _shapes(model, nodes)
    for node in nodes:
        if node.op_type not in _GATHERS or len(node.input) < 2:  # noqa: PLR2004 - table and rows
            continue
        shape = shapes.get(node.input[0], ())
        axes = {a.name: a.i for a in node.attribute}
        axis = axes.get("axis", axes.get("gather_axis", 0))
        if -len(shape) <= axis < len(shape) and shape[axis] > 0:
            yield node.input[1], shape[axis]


def _shapes(model: ModelProto, nodes: list[NodeProto]) -> Mapping[str, tuple[int, ...]]:
    stored = {t.name: tuple(t.dims) for g in onnx_model.graphs(model.graph) for t in g.initializer}
    for node in nodes:
        if node.op_type == "Constant" and node.output:
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None:
                stored[node.output[0]] = tuple(value.dims)
        elif node.op_type in _SAME_ROWS and node.input and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    return stored
