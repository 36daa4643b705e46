"""Retained sizes, against the definition: remove the file and see what is still reached."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graph_strategies import artifact, graph_of, graphs
from growth import growth
from hypothesis import given

from toolchain.analysis.dominators import retained
from toolchain.analysis.packages import file_of
from toolchain.analysis.reachability import reachable
from toolchain.ir import PART_KINDS, ArtifactId, Edge, Graph, Kind, Relation
from toolchain.ir.artifact import OWNERSHIP


def _without(graph: Graph, name: ArtifactId) -> Graph:
    """Return ``graph`` in which nothing leads out of ``name`` or a part of it."""
    inside = {i for i in graph.artifacts if file_of(i) == name} | {name}
    inside |= {e.source for e in graph.edges if e.relation is Relation.ENCODES and e.target == name}
    edges = frozenset(e for e in graph.edges if e.source not in inside and e.target not in inside)
    return replace(graph, edges=edges, roots=graph.roots - {name})


@given(graphs())
def test_retained_is_what_is_no_longer_reached(graph: Graph) -> None:
    sizes = retained(graph)
    assert sizes.keys() == graph.artifacts.keys()
    files, used = graph.files, reachable(graph)
    for name, artifact_ in graph.artifacts.items():
        if artifact_.kind in PART_KINDS or (name in files and name not in used):
            assert sizes[name] == artifact_.size
        elif name in files:
            still = reachable(_without(graph, name))
            gone = [i for i in files if i in used and i not in still]
            assert sizes[name] == sum(files[i].size for i in gone)


def test_a_shared_file_is_kept_alive_by_neither_of_its_users_but_by_what_leads_to_both() -> None:
    graph = graph_of(
        artifact("app", size=1),
        artifact("a", size=10),
        artifact("b", size=100),
        artifact("shared", size=1000),
        edges="app->a app~>b a->shared b->shared",
        roots="app",
    )
    assert retained(graph) == {"app": 1111, "a": 10, "b": 100, "shared": 1000}


def test_a_chain_adds_up_at_every_step() -> None:
    graph = graph_of(
        *(artifact(name, size=size) for name, size in (("app", 1), ("a", 10), ("b", 100))),
        edges="app->a a->b",
        roots="app",
    )
    assert retained(graph) == {"app": 111, "a": 110, "b": 100}


def test_what_a_sibling_encodes_keeps_alive_what_it_needs() -> None:
    graph = graph_of(
        artifact("a", size=9),
        artifact("a.gz", Kind.COMPRESSED, 5),
        artifact("model", size=70),
        edges="a->model",
        roots="a",
    ).with_edges([Edge(ArtifactId("a.gz"), ArtifactId("a"), Relation.ENCODES)])
    assert retained(graph) == {"a": 79, "a.gz": 0, "model": 70}


def test_what_a_part_needs_its_file_keeps_alive() -> None:
    base = graph_of(
        artifact("bundle", size=3), artifact("model", size=50), edges="bundle->part", roots="bundle"
    )
    part = artifact("part", next(iter(PART_KINDS)), 3)
    contains = Edge(ArtifactId("bundle"), part.id, Relation.CONTAINS)
    graph = Graph(
        {**base.artifacts, part.id: part},
        frozenset({contains, Edge(part.id, ArtifactId("model"), Relation.FETCH)}),
        base.roots,
    )
    assert retained(graph)[ArtifactId("bundle")] == 53
    assert contains.relation in OWNERSHIP


@pytest.mark.parametrize("shape", ["chain", "star", "web"])
def test_time_grows_with_the_files_not_with_their_square(shape: str) -> None:
    assert growth(lambda count: weighed(shape, count), 250, 4_000) < 80  # the square of 16 is 256


def weighed(shape: str, count: int) -> None:
    """Weigh ``count`` files that are connected like ``shape``."""
    names = [f"f{i}" for i in range(count)]
    steps = {
        "chain": [(i, i + 1) for i in range(count - 1)],
        "star": [(0, i) for i in range(1, count)],
        "web": [(i, (i * k + k) % count) for i in range(count) for k in (2, 3, 5, 7)],
    }
    edges = frozenset(
        Edge(ArtifactId(names[a]), ArtifactId(names[b]), Relation.IMPORT)
        for a, b in steps[shape]
        if a != b
    )
    graph = replace(graph_of(*(artifact(n) for n in names), roots="f0"), edges=edges)
    sizes = retained(graph)
    assert sizes[ArtifactId("f0")] == len(reachable(graph) & graph.files.keys())
