"""Binds graph inputs to constants and removes everything that then cannot happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

from toolchain.formats.onnx_cleanup import clean, unread_inputs
from toolchain.formats.onnx_folding import (
    Shape,
    folded,
    replace,
    static_shapes,
    store_constants,
    with_shapes,
)
from toolchain.formats.onnx_growth import affordable
from toolchain.formats.onnx_inline import definitions, inlined
from toolchain.formats.onnx_inputs import bound_array, with_fixed_shapes
from toolchain.formats.onnx_model import graphs, refill, subgraphs
from toolchain.formats.onnx_rewrite import with_constants_apart


def has_input(model: ModelProto, name: str) -> bool:
    """Whether callers feed an input called ``name``."""
    return name in {value.name for value in model.graph.input}


def with_input_bound(
    model: ModelProto, name: str, value: float, shapes: Mapping[str, Sequence[int]]
) -> ModelProto:
    """Return ``model`` with the input ``name`` always ``value`` and inputs of fixed ``shapes``.

    Errors:
        ConfigError: there is no such input, or its type or shape does not allow that.
    """
    model = with_constants_apart(model)
    with_fixed_shapes(model.graph, shapes)
    return specialize(model, {name: bound_array(model.graph, name, value)})


def with_constants_folded(model: ModelProto) -> ModelProto:
    """Return ``model`` with everything computed that depends on no input; inputs stay."""
    return specialize(with_constants_apart(model), {}, keep_inputs=True)


def specialize(
    model: ModelProto, bound: Mapping[str, NDArray[np.generic]], *, keep_inputs: bool = False
) -> ModelProto:
    """Return ``model`` with the inputs ``bound`` made constants; ``model`` may be changed.

    Branches that cannot be taken, nodes that only compute with constants, and weights and inputs
    that nothing needs any more are gone. The names of the other inputs and outputs stay.
    """
    graph = model.graph
    unread_before = frozenset(v.name for v in graph.input) if keep_inputs else unread_inputs(graph)
    # of a bound input many shapes change, and what was noted is of the graph as it was
    noted = [] if bound else _noted_shapes(graph)
    refill(graph.input, [v for v in graph.input if v.name not in bound])
    refill(graph.initializer, [t for t in graph.initializer if t.name not in bound])
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in bound.items())
    while True:
        model = with_shapes(model)
        if not _Round(model, definitions(model.graph)).simplify(model.graph, {}, {}):
            for inner in graphs(model.graph):
                refill(inner.value_info, noted)
            return clean(model, keep_inputs=unread_before)


def _noted_shapes(main: GraphProto) -> list[ValueInfoProto]:
    """Return what the file says about the shapes of values whose names mean one thing only."""
    names = definitions(main)
    noted = [value for graph in graphs(main) for value in graph.value_info]
    found = []
    for value in noted:
        if names[value.name] == 1:
            found.append(ValueInfoProto())
            found[-1].CopyFrom(value)
    return found


@dataclass(frozen=True)
class _Round:
    """One walk over all graphs of ``model``; ``names`` counts who defines each name."""

    model: ModelProto
    names: Counter[str]

    def simplify(
        self,
        graph: GraphProto,
        outer_known: Mapping[str, TensorProto],
        outer_shapes: Mapping[str, Shape],
    ) -> bool:
        """Fold and inline, here and in the graphs inside; return whether anything changed."""
        store_constants(graph)
        known = {**outer_known, **_own_constants(graph)}
        shapes = {**outer_shapes, **static_shapes(graph), **_sizes(known.values())}
        changed = False
        refused: set[str] = set()
        while found := folded(graph, known, shapes, self.model, refused):
            values = affordable(graph, found, known, self.model)
            refused.update({v.name for v in found} - {v.name for v in values})
            if not values:
                break
            known.update((value.name, value) for value in values)
            shapes.update(_sizes(values))
            replace(graph, values)
            changed = True
        nodes: list[NodeProto] = []
        for node in graph.node:
            if node.op_type == "If" and not node.domain and node.input[0] in known:
                taken = bool(numpy_helper.to_array(known[node.input[0]]).all())
                nodes += inlined(graph, node, self.names, taken=taken)
                changed = True
                continue
            for inner in subgraphs(node):
                changed |= self.simplify(inner, known, shapes)
            nodes.append(node)
        refill(graph.node, nodes)
        return changed


def _own_constants(graph: GraphProto) -> dict[str, TensorProto]:
    """Return the initializers; one that a caller may override is no constant."""
    inputs = {value.name for value in graph.input}
    return {t.name: t for t in graph.initializer if t.name not in inputs}


def _sizes(constants: Iterable[TensorProto]) -> dict[str, Shape]:
    return {t.name: tuple(t.dims) for t in constants}
