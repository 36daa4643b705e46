"""Builds of one engine that lie side by side, and which of them the application's code can name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath

from toolchain.analysis.reachability import possible_targets, reachable
from toolchain.ir import ArtifactId, Graph, Kind, Relation

_NAMING = frozenset(
    {Relation.IMPORT, Relation.LAZY, Relation.WORKER, Relation.FETCH, Relation.DYNAMIC}
)
_SEPARATORS = str.maketrans("-_", "..")


def words(name: ArtifactId) -> tuple[str, ...]:
    """Return the words of a file's name, less its ending.

    >>> words(ArtifactId("dist/ort-wasm-simd.jsep.wasm"))
    ('ort', 'wasm', 'simd', 'jsep')
    """
    stem = PurePosixPath(name).name.rpartition(".")[0]
    return tuple(word for word in stem.translate(_SEPARATORS).split(".") if word)


def builds(graph: Graph) -> list[list[ArtifactId]]:
    """Return the groups of WebAssembly builds that a computed name may choose from.

    A group lies in one folder of a package in which some module that is used loads a name nobody
    knows, and its names begin with the same word. With each module goes the script of its name.
    """
    used = reachable(graph)
    open_names = {n for i, names in possible_targets(graph).items() if i in used for n in names}
    groups: defaultdict[tuple[str, str], list[ArtifactId]] = defaultdict(list)
    for name in sorted(open_names):
        if graph.artifacts[name].kind is Kind.WASM and words(name):
            groups[str(PurePosixPath(name).parent), words(name)[0]].append(name)
    return [group for group in groups.values() if len(group) > 1]


def named(graph: Graph) -> frozenset[ArtifactId]:
    """Return the files that code which is used names, or ``[dynamic]`` of the project does."""
    used = reachable(graph)
    return frozenset(e.target for e in graph.edges if e.source in used and e.relation in _NAMING)


def never_named(
    graph: Graph, pieces: Iterable[str], keep: Collection[ArtifactId] = frozenset()
) -> dict[ArtifactId, str]:
    """Return the builds that no code can name, each with the word of its name nobody writes.

    ``pieces`` are the texts that the used code holds. Of a group one build must be named in full:
    else nothing says that names are written down at all.
    """
    known = named(graph) | frozenset(keep)
    text = "\n".join(pieces)
    found: dict[ArtifactId, str] = {}
    for group in builds(graph):
        if not any(n in known for n in group):
            continue
        for name in group:
            missing = next((word for word in words(name) if word not in text), "")
            if missing and name not in known:
                found |= dict.fromkeys(_with_script(name, graph, known), missing)
    return found


def _with_script(
    name: ArtifactId, graph: Graph, known: Collection[ArtifactId]
) -> Iterator[ArtifactId]:
    """Yield a build and the scripts beside it that have its name."""
    yield name
    stem = name.rpartition(".")[0]
    for ending in (".js", ".mjs", ".cjs"):
        script = ArtifactId(stem + ending)
        if script in graph.artifacts and script not in known and script not in graph.roots:
            yield script
