"""Drop the builds of an engine that the application's code cannot name.

What it does
    Where a package ships several WebAssembly builds side by side (``x.wasm``, ``x.jsep.wasm``) and
    a module that is used loads a name known only when it runs, drops the builds, and the scripts of
    the same names, whose name holds a word that no text of the used code holds.

Why
    Such a computed name keeps every file of its package: 86 MB in four builds of onnxruntime-web,
    of which a page downloads one. Which one follows from the entry that the application imports:
    each entry writes down the name of its own build.

Keeps
    Builds that used code names, those that ``[dynamic]`` in vtool.toml lists, all files that match
    a glob in ``keep``, and each build whose words are all written somewhere, since code may put
    them together. All builds, where none is named in full. Not seen are names that come over the
    network or are spelled in pieces smaller than a word: list those in ``keep``.

Source
    The graph's edges and the string literals of the code; ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from toolchain.analysis.reachability import reachable
from toolchain.analysis.variants import builds, never_named
from toolchain.formats.javascript import literals
from toolchain.ir import Graph, Kind, Store
from toolchain.passes.base import GraphPass

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_TEXTS = frozenset({Kind.JSON, Kind.HTML})


@dataclass(frozen=True)
class SelectVariant(GraphPass):
    """Keep the builds that can be named; ``keep`` are globs on whole ids."""

    proof = "never-named"

    keep: tuple[str, ...] = ()

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` less the builds that no code can name."""
        if not graph.roots or not builds(graph):
            return graph
        kept = {i for i in graph.artifacts if any(fnmatchcase(i, g) for g in self.keep)}
        gone = never_named(graph, _pieces(graph, store), kept)
        along = {e.source for e in graph.edges if e.target in gone and e.relation == "encodes"}
        return graph.keep(graph.artifacts.keys() - gone.keys() - along)


def _pieces(graph: Graph, store: Store) -> Iterator[str]:
    """Yield the texts that the used code and the data beside it hold."""
    for name in sorted(reachable(graph)):
        artifact = graph.artifacts[name]
        if artifact.kind in _SCRIPTS:
            yield from literals(store.get(artifact.digest))
        elif artifact.kind in _TEXTS:
            yield store.get(artifact.digest).decode("utf-8", errors="replace")
