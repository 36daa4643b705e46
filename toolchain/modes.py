"""Leaves out of a graph what the build that ships never loads: the other side of NODE_ENV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from toolchain.analysis.reachability import reachable
from toolchain.formats.javascript_mode import never_loaded
from toolchain.formats.node_resolution import Resolver
from toolchain.installed import GraphFiles
from toolchain.ir import ArtifactId, Edge, Graph, Kind, Relation, Store

_LOADS = frozenset({Relation.IMPORT, Relation.LAZY})


def in_mode(graph: Graph, store: Store, mode: str = "production") -> Graph:
    """Return ``graph`` without the edges that no program takes whose NODE_ENV is ``mode``.

    A package that ships a build for development beside that for production requires one of them,
    and names both.
    """
    gone = set(_never(graph, store, mode))
    if not gone:
        return graph
    return replace(graph, edges=frozenset(e for e in graph.edges if e not in gone))


def _never(graph: Graph, store: Store, mode: str) -> Iterator[Edge]:
    resolver = Resolver(GraphFiles(graph, store), graph.conditions)
    used = reachable(graph)
    for name, file in graph.files.items():
        if file.kind not in {Kind.JS, Kind.TS} or name not in used:
            continue
        for target, how in never_loaded(store.get(file.digest), mode):
            found = resolver.resolve(target, name, require=how == "require")
            if isinstance(found, str):
                yield from (Edge(name, ArtifactId(found), relation) for relation in _LOADS)
