"""What the application can load from its roots, and what it loads before it can listen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import fnmatchcase

from toolchain.analysis.packages import package_of
from toolchain.ir import FILE_KINDS, Artifact, ArtifactId, Graph, Kind, Relation
from toolchain.ir.artifact import OWNERSHIP, SIBLINGS

_EAGER = frozenset({Relation.IMPORT, Relation.WORKER, Relation.FETCH, Relation.DYNAMIC})
_NEEDS = _EAGER | {Relation.LAZY, Relation.LINK, Relation.STYLE}
_PAGE_KINDS = frozenset({Kind.JS, Kind.TS, Kind.HTML})

NEVER_LOADED = frozenset({Kind.SOURCEMAP, Kind.TS, Kind.TEXT, Kind.HTML, Kind.CSS})
"""Kinds of files that no computed import, fetch or worker name stands for: sources, declarations,
documentation and maps. (A page or style sheet that is really used has an edge of its own.)"""

Neighbours = Callable[[ArtifactId], Iterable[ArtifactId]]


def reachable(graph: Graph) -> frozenset[ArtifactId]:
    """Return every artifact that the roots need, directly or not, in any way the graph knows.

    Parts belong to their file, members to their archive and compressed siblings to the file they
    encode: each comes with the other.
    """
    return _closure(graph.roots, _followed(graph, _NEEDS))


def core(graph: Graph) -> frozenset[ArtifactId]:
    """Return what is downloaded before the application can listen.

    That is what its page roots (JavaScript, TypeScript, HTML) need eagerly: imports, workers,
    fetched files and every file that a name known only in part may mean, but nothing behind
    ``import()``. So it may be too much, and is too little only where a name is wholly unknown.
    """
    pages = [r for r in graph.roots if graph.artifacts[r].kind in _PAGE_KINDS]
    return _closure(pages, _followed(graph, _EAGER))


def loadable(graph: Graph, more: Collection[ArtifactId] = frozenset()) -> frozenset[ArtifactId]:
    """Return what the roots, and ``more`` beside them, may load if every unknown is possible.

    What the project says is kept counts as ``more`` does.
    A module that loads a name nobody can know may load any file of its own package, except those
    of ``NEVER_LOADED`` kinds; and those files may load more.
    """
    known = _followed(graph, _NEEDS)
    possible = possible_targets(graph)

    def step(name: ArtifactId) -> Iterator[ArtifactId]:
        yield from known(name)
        yield from possible.get(name, ())

    kept = (i for i in graph.artifacts if any(fnmatchcase(i, glob) for glob in graph.kept))
    return _closure([*graph.roots, *more, *kept], step)


def possible_targets(graph: Graph) -> dict[ArtifactId, list[ArtifactId]]:
    """Return the files that each module with an unknown target may mean: its own package's."""
    blind = {
        e.source
        for e in graph.edges
        if e.relation not in OWNERSHIP and graph.artifacts[e.target].kind is Kind.UNKNOWN
    }
    packages: defaultdict[str, list[ArtifactId]] = defaultdict(list)
    for artifact in graph.artifacts.values():
        if _may_be_loaded(artifact):
            packages[package_of(artifact.id)].append(artifact.id)
    return {name: sorted(packages[package_of(name)]) for name in sorted(blind)}


def _may_be_loaded(artifact: Artifact) -> bool:
    return artifact.kind in FILE_KINDS - NEVER_LOADED


def _followed(graph: Graph, relations: Collection[Relation]) -> Neighbours:
    """Return the step from an artifact to those it brings along."""
    along: defaultdict[ArtifactId, list[ArtifactId]] = defaultdict(list)
    for edge in graph.edges:
        if edge.relation in relations:
            along[edge.source].append(edge.target)
        elif edge.relation in {Relation.CONTAINS, Relation.UNPACKS}:
            along[edge.source].append(edge.target)
            along[edge.target].append(edge.source)
        elif edge.relation in SIBLINGS:
            along[edge.target].append(edge.source)
            along[edge.source].append(edge.target)
    return lambda name: along.get(name, ())


def _closure(starts: Iterable[ArtifactId], step: Neighbours) -> frozenset[ArtifactId]:
    found = set(starts)
    waiting = list(found)
    while waiting:
        for target in step(waiting.pop()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return frozenset(found)
