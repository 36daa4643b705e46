"""Who reads a value, in its graph and in the graphs inside it."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import GraphProto, NodeProto

from toolchain.formats import onnx_model


@dataclass(frozen=True)
class Reader:
    """One place where a value is read: an input of a node, or an output of a graph."""

    node: NodeProto
    position: int
    scope: Scope
    is_output: bool = False


@dataclass(frozen=True, eq=False)
class Scope:
    """A graph and the readers of its values by name; those in inner graphs are included."""

    graph: GraphProto
    is_main: bool
    readers: dict[str, list[Reader]]
    makers: dict[str, NodeProto]  # of its own values


def scopes(graph: GraphProto) -> list[Scope]:
    """Return the scopes of ``graph`` and of all graphs inside, in the order of ``graphs``."""
    found: list[Scope] = []
    _scope(graph, found)
    return found


def _scope(graph: GraphProto, found: list[Scope]) -> Scope:
    scope = Scope(graph, not found, {}, {n: node for node in graph.node for n in node.output})
    found.append(scope)
    for node in graph.node:
        for position, name in enumerate(node.input):
            scope.readers.setdefault(name, []).append(Reader(node, position, scope))
        for inner in onnx_model.subgraphs(node):
            below = _scope(inner, found)
            own = _defined(inner)
            for name, readers in below.readers.items():
                if name not in own:
                    scope.readers.setdefault(name, []).extend(readers)
    for position, output in enumerate(graph.output):
        reader = Reader(NodeProto(), position, scope, is_output=True)
        scope.readers.setdefault(output.name, []).append(reader)
    return scope


def _defined(graph: GraphProto) -> set[str]:
    names = {value.name for value in graph.input} | {t.name for t in graph.initializer}
    return names.union(*(node.output for node in graph.node))
