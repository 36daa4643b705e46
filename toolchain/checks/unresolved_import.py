"""Finds imports, fetched files and libraries that are not among the files.

What it does
    Lists each target outside of the project once, with those who need it. It is an error where
    reachable code imports it before it can run, and a note where it is loaded later, or is a
    library that the system brings, or a module of Node.js, or where no root reaches its user.

Why
    An import left open makes a bundle look small and fail when it starts. A peer dependency that
    nobody installed looks the same as a misspelt path.

Advice
    Add the package or the file; where the host brings it (a peer, a CDN), say so to the bundler.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from toolchain.analysis.reachability import reachable
from toolchain.formats.node_resolution import is_builtin
from toolchain.ir import ArtifactId, Edge, Finding, Graph, Kind, Relation, Severity, Store

_SHOWN = 5  # ours: enough to find the place


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each target that is not there, by its name."""
    del store  # edges are enough
    used = reachable(graph)
    users: defaultdict[ArtifactId, list[Edge]] = defaultdict(list)
    for edge in sorted(graph.edges):
        if graph.artifacts[edge.target].kind is Kind.EXTERNAL:
            users[edge.target].append(edge)
    for target, edges in sorted(users.items()):
        name = target.removeprefix("external:")
        needed = [e for e in edges if e.source in used]
        fatal = any(e.relation is Relation.IMPORT for e in needed) and not _from_host(name)
        shown = needed or edges
        relations = ", ".join(sorted({e.relation for e in shown}))
        yield Finding(
            check="unresolved-import",
            where=shown[0].source,
            message=f"{name} is not among the files ({relations})",
            advice=_advice(shown[0].relation),
            severity=Severity.ERROR if fatal else Severity.NOTE,
            evidence=tuple(e.source for e in shown[:_SHOWN]),
        )


def _from_host(name: str) -> bool:
    return is_builtin(name) or name.startswith(("https:", "http:"))


def _advice(relation: Relation) -> str:
    if relation is Relation.LINK:
        return "make sure that every target system has the library, or ship it"
    return "add the package or file, or tell the bundler that the host provides it"
