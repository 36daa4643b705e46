"""Tells why an artifact is there: the shortest way from a root to it, and what it keeps alive."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from toolchain.analysis.dominators import retained
from toolchain.errors import ConfigError
from toolchain.ir import ArtifactId, Edge, Graph
from toolchain.ir.artifact import OWNERSHIP
from toolchain.units import Bytes


@dataclass(frozen=True, slots=True)
class Why:
    """The answer about one artifact.

    ``chain`` starts at ``root`` and ends at the artifact; it is empty for a root itself. Where no
    root reaches the artifact, ``root`` is None.
    """

    artifact: ArtifactId
    root: ArtifactId | None
    chain: tuple[Edge, ...]
    size: Bytes
    retained: Bytes
    facts: Mapping[str, str] = field(default_factory=dict)  # of a part: see Artifact


def why(graph: Graph, name: ArtifactId) -> Why:
    """Return why ``name`` is needed. Of several shortest chains the alphabetically first is given.

    Errors:
        ConfigError: nothing has that id; the hint offers the nearest ones.
    """
    if name not in graph.artifacts:
        near: list[str] = [str(i) for i in sorted(graph.artifacts) if i.endswith(f"/{name}")][:3]
        near = near or get_close_matches(name, graph.artifacts, n=3, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else "list them with vtool analyze"
        raise ConfigError(f"nothing is called {name!r}", hint=hint)
    came = _ways(graph)
    chain: list[Edge] = []
    at = name
    while (edge := came.get(at)) is not None:
        chain.append(edge)
        at = edge.source if edge.target == at else edge.target
    return Why(
        artifact=name,
        root=at if at in graph.roots else None,
        chain=tuple(reversed(chain)),
        size=graph.artifacts[name].size,
        retained=retained(graph)[name],
        facts=dict(graph.artifacts[name].facts),
    )


def _ways(graph: Graph) -> dict[ArtifactId, Edge]:
    """Return the edge by which a breadth-first walk from the roots first came to each artifact."""
    along: defaultdict[ArtifactId, list[tuple[ArtifactId, Edge]]] = defaultdict(list)
    for edge in sorted(graph.edges):
        for source, target in _directions(edge):
            along[source].append((target, edge))
    came: dict[ArtifactId, Edge] = {}
    waiting = deque(sorted(graph.roots))
    while waiting:
        for target, edge in along.get(waiting[0], ()):
            if target not in came and target not in graph.roots:
                came[target] = edge
                waiting.append(target)
        waiting.popleft()
    return came


def _directions(edge: Edge) -> Iterator[tuple[ArtifactId, ArtifactId]]:
    """Yield both ways for a file and its parts: each brings the other along."""
    yield edge.source, edge.target
    if edge.relation in OWNERSHIP:
        yield edge.target, edge.source
