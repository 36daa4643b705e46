"""Tells why an artifact is there: the shortest way from a root to it, and what it keeps alive."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from toolchain.analysis.dominators import retained
from toolchain.analysis.packages import package_of
from toolchain.analysis.reachability import reachable
from toolchain.errors import ConfigError
from toolchain.ir import ArtifactId, Edge, Graph
from toolchain.ir.artifact import OWNERSHIP
from toolchain.units import Bytes


@dataclass(frozen=True, slots=True)
class Why:
    """The answer about one artifact, or about all files of a package.

    ``chain`` starts at ``root`` and ends at the artifact, or at the file of the package that is
    nearest; it is empty for a root itself. Where no root reaches it, ``root`` is None.
    """

    artifact: ArtifactId
    root: ArtifactId | None
    chain: tuple[Edge, ...]
    size: Bytes
    retained: Bytes
    facts: Mapping[str, str] = field(default_factory=dict)  # of a part, see Artifact; of a package


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
    root, chain = _chain(graph, name, _ways(graph))
    return Why(
        artifact=name,
        root=root,
        chain=chain,
        size=graph.artifacts[name].size,
        retained=retained(graph)[name],
        facts=dict(graph.artifacts[name].facts),
    )


def packages_called(graph: Graph, name: str) -> list[str]:
    """Return the folders of the packages with this name, or in this folder, sorted."""
    found = {package_of(i) for i in graph.files}
    return sorted(p for p in found if p == name or p.endswith(f"node_modules/{name}"))


def why_package(graph: Graph, package: str) -> Why:
    """Return why files of ``package``, a folder, are needed.

    Retained are all of its files, and all others that are only reached through them.
    """
    files = graph.files
    own = [i for i in files if package_of(i) == package]
    inside = {i for i in graph.artifacts if package_of(i) == package}
    used = reachable(graph)
    without = reachable(graph.keep(graph.artifacts.keys() - inside))
    others = sum(a.size for i, a in files.items() if i in used - without - inside)
    came = _ways(graph)
    first = next((i for i in (*sorted(graph.roots), *came) if i in inside), None)
    root, chain = _chain(graph, first, came) if first else (None, ())
    size = sum(files[i].size for i in own)
    return Why(
        artifact=ArtifactId(package),
        root=root,
        chain=chain,
        size=Bytes(size),
        retained=Bytes(size + others),
        facts={"files": f"{len(own)}, {len(used & set(own))} of them reached"},
    )


def _chain(
    graph: Graph, name: ArtifactId, came: Mapping[ArtifactId, Edge]
) -> tuple[ArtifactId | None, tuple[Edge, ...]]:
    """Return the root that ``name`` is reached from, and the way."""
    chain: list[Edge] = []
    at = name
    while (edge := came.get(at)) is not None:
        chain.append(edge)
        at = edge.source if edge.target == at else edge.target
    return at if at in graph.roots else None, tuple(reversed(chain))


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
