"""A graph as JSON data: its identity in keys, and how the cache keeps it."""

from __future__ import annotations

from typing import Any

from toolchain.ir import Artifact, ArtifactId, Digest, Edge, Graph, Kind, Relation
from toolchain.units import Bytes


def packed(graph: Graph) -> list[Any]:
    """Return a graph as JSON data in a fixed order."""
    return [
        [[a.id, a.kind, a.digest, a.size] for _, a in sorted(graph.artifacts.items())],
        [[e.source, e.target, e.relation] for e in sorted(graph.edges)],
        sorted(graph.roots),
    ]


def unpacked(document: Any) -> Graph:  # noqa: ANN401 - JSON
    """Return the graph that ``packed`` gave ``document`` for."""
    artifacts, edges, roots = document
    return Graph(
        {
            ArtifactId(i): Artifact(ArtifactId(i), Kind(k), Digest(d), Bytes(s))
            for i, k, d, s in artifacts
        },
        frozenset(Edge(ArtifactId(s), ArtifactId(t), Relation(r)) for s, t, r in edges),
        frozenset(ArtifactId(r) for r in roots),
    )
