"""Finds code that loads something whose name is only known when it runs.

What it does
    Lists each module with a computed import, worker, fetch or path that no file name matches. It is
    a warning where a root reaches the module: then nothing in its package can be called unused.

Why
    What nobody can know before the program runs, no tool can bundle, check, compress or leave out:
    one computed path can keep fifty megabytes alive.

Advice
    Write the name as a string, or as ``new URL("x.wasm", import.meta.url)``; or list the files that
    are meant in the project's configuration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from toolchain.analysis.reachability import possible_targets, reachable
from toolchain.ir import ArtifactId, Finding, Graph, Kind, Severity, Store


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each module with unknown targets."""
    del store  # edges are enough
    used = reachable(graph)
    possible = possible_targets(graph)
    unknown: defaultdict[ArtifactId, list[ArtifactId]] = defaultdict(list)
    for edge in sorted(graph.edges):
        if graph.artifacts[edge.target].kind is Kind.UNKNOWN:
            unknown[edge.source].append(edge.target)
    for source, targets in sorted(unknown.items()):
        places = "a name" if len(targets) == 1 else f"{len(targets)} names"
        others = [i for i in possible[source] if i != source]
        yield Finding(
            check="dynamic-target",
            where=source,
            message=f"loads {places} known only at run time; {len(others)} files may be meant",
            advice="write the name as a string or list the files that are meant",
            severity=Severity.WARNING if source in used else Severity.NOTE,
            evidence=tuple(t.removeprefix("unknown:") for t in targets),
        )
