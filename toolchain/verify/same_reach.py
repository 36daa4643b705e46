"""Proves that dropping files took nothing away that the application can load.

What it does
    Checks, artifact by artifact and not by walking the graph again, that the result is closed:
    the roots are there; whatever a kept artifact needs, contains or is a part of is kept, under the
    same digest and by the same edge; a kept module that may load any file of its package still
    finds all of them; and nothing is new. A closed set with the roots in it holds everything that
    is reachable, so this is stronger than comparing two walks by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from toolchain.analysis.reachability import possible_targets
from toolchain.ir import Edge, Graph, Proof, Store
from toolchain.ir.artifact import OWNERSHIP


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare the two graphs; the detail names the first thing lost."""
    del store, options  # digests say enough
    problem = next(_problems(before, after), None)
    dropped = len(before.artifacts) - len(after.artifacts)
    detail = (
        f"{len(after.artifacts)} artifacts and {len(after.edges)} edges kept, {dropped} dropped"
    )
    return Proof("same-reach", holds=problem is None, detail=problem or detail)


def _problems(before: Graph, after: Graph) -> Iterator[str]:
    yield from after.problems()
    if after.roots != before.roots:
        yield f"root {min(after.roots ^ before.roots)} is not the same"
    for name, artifact in after.artifacts.items():
        if before.artifacts.get(name) != artifact:
            yield f"{name} is not what it was"
    for edge in after.edges - before.edges:
        yield f"the edge {edge.source} -> {edge.target} ({edge.relation}) is new"
    for edge in before.edges - after.edges:
        yield from _lost(edge, after)
    for name, files in possible_targets(before).items():
        if name in after.artifacts and not after.artifacts.keys() >= set(files):
            yield f"{name} may load {min(set(files) - after.artifacts.keys())}, which is gone"


def _lost(edge: Edge, after: Graph) -> Iterator[str]:
    """Yield a problem unless the edge went with its source (one of ownership: with both ends)."""
    if edge.source in after.artifacts:
        yield f"{edge.source} lost {edge.target} ({edge.relation})"
    elif edge.relation in OWNERSHIP and edge.target in after.artifacts:
        yield f"{edge.target} lost {edge.source} ({edge.relation})"
