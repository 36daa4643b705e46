"""A graph as JSON data: its identity in keys, and how the cache keeps it."""

from __future__ import annotations

from typing import Any

from toolchain.ir import Artifact, ArtifactId, Digest, Edge, Graph, Kind, Relation
from toolchain.units import Bytes


def packed(graph: Graph) -> list[Any]:
    """Return a graph as JSON data in a fixed order."""
    return [
        [
            [a.id, a.kind, a.digest, a.size, *map(list, a.facts)]
            for _, a in sorted(graph.artifacts.items())
        ],
        [[e.source, e.target, e.relation] for e in sorted(graph.edges)],
        sorted(graph.roots),
        sorted(graph.conditions),
        sorted(graph.kept),
    ]


def unpacked(document: Any) -> Graph:  # noqa: ANN401 - JSON
    """Return the graph that ``packed`` gave ``document`` for."""
    artifacts, edges, roots, conditions, kept = document
    return Graph(
        {
            ArtifactId(i): Artifact(
                ArtifactId(i),
                Kind(k),
                Digest(d),
                Bytes(s),
                tuple((name, text) for name, text in facts),
            )
            for i, k, d, s, *facts in artifacts
        },
        frozenset(Edge(ArtifactId(s), ArtifactId(t), Relation(r)) for s, t, r in edges),
        frozenset(ArtifactId(r) for r in roots),
        frozenset(conditions),
        frozenset(kept),
    )
