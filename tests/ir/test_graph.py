"""The graph: nothing is lost silently, and every byte has one owner."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graph_strategies import artifact, graph_of, graphs
from hypothesis import given
from hypothesis import strategies as st

from toolchain.ir import PART_KINDS, Artifact, ArtifactId, Digest, Edge, Graph, Kind, Relation
from toolchain.ir.artifact import ABSENT_KINDS, OWNERSHIP
from toolchain.units import Bytes


@given(graphs())
def test_drawn_graphs_are_valid(graph: Graph) -> None:
    assert graph.problems() == []


@given(graphs(), st.data())
def test_keeping_some_leaves_a_valid_graph_of_just_these(graph: Graph, data: st.DataObject) -> None:
    files = sorted(graph.without_parts().artifacts)
    ids = data.draw(st.sets(st.sampled_from(files)))
    kept = graph.without_parts().keep(ids)
    assert kept.artifacts.keys() == ids
    assert kept.roots == graph.roots & ids
    assert kept.edges == {e for e in graph.edges if {e.source, e.target} <= ids}
    assert kept.problems() == []


@given(graphs())
def test_keeping_all_is_the_same_object(graph: Graph) -> None:
    assert graph.keep(graph.artifacts.keys()) is graph
    assert graph.with_artifacts(graph.artifacts.values()) is graph
    assert graph.renamed({}) is graph


@given(graphs(), st.data())
def test_dropping_one_part_alone_breaks_the_accounting(graph: Graph, data: st.DataObject) -> None:
    parts = sorted(i for i, a in graph.artifacts.items() if a.kind in PART_KINDS and a.size)
    if not parts:
        return
    lost = data.draw(st.sampled_from(parts))
    kept = graph.keep(graph.artifacts.keys() - {lost})
    owner = next(e.source for e in graph.edges if e.target == lost and e.relation in OWNERSHIP)
    siblings = [e for e in kept.edges if e.source == owner and e.relation is Relation.CONTAINS]
    assert bool(siblings) == any("bytes of" in p for p in kept.problems())


@given(graphs())
def test_parts_are_never_counted_beside_their_file(graph: Graph) -> None:
    assert graph.size == graph.without_parts().size
    assert all(a.kind not in PART_KINDS | ABSENT_KINDS for a in graph.files.values())
    assert list(graph.files) == sorted(graph.files)


@given(graphs())
def test_siblings_only_lower_what_is_delivered(graph: Graph) -> None:
    siblings = {e.source for e in graph.edges if e.relation is Relation.ENCODES}
    alone = graph.keep(graph.artifacts.keys() - siblings)
    assert graph.delivered <= graph.size
    assert alone.delivered == alone.size == graph.size
    saved = {e.target for e in graph.edges if e.relation is Relation.ENCODES}
    assert graph.size - graph.delivered == len(saved)  # each drawn sibling is one byte smaller


def test_the_smallest_of_several_siblings_is_delivered() -> None:
    graph = graph_of(artifact("a", size=100), roots="a").with_artifacts(
        [artifact("a.gz", Kind.COMPRESSED, 60), artifact("a.br", Kind.COMPRESSED, 40)]
    )
    graph = graph.with_edges(
        Edge(ArtifactId(s), ArtifactId("a"), Relation.ENCODES) for s in ("a.gz", "a.br")
    )
    assert (graph.size, graph.delivered) == (100, 40)


def test_members_take_no_room_beside_their_archive() -> None:
    graph = graph_of(artifact("z", Kind.ARCHIVE, 10), artifact("z!/m", size=30)).with_edges(
        [Edge(ArtifactId("z"), ArtifactId("z!/m"), Relation.UNPACKS)]
    )
    assert list(graph.files) == ["z"]
    assert graph.delivered == 10


@given(graphs(), st.data())
def test_renaming_there_and_back_changes_nothing(graph: Graph, data: st.DataObject) -> None:
    ids = data.draw(st.sets(st.sampled_from(sorted(graph.artifacts))))
    there = {i: ArtifactId(f"new/{i}") for i in ids}
    renamed = graph.renamed(there)
    assert renamed.problems() == []
    assert renamed.size == graph.size
    assert renamed.renamed({new: old for old, new in there.items()}) == graph


@given(graphs())
def test_needs_holds_every_edge_but_those_of_ownership(graph: Graph) -> None:
    pairs = {
        Edge(source, target, relation)
        for source, targets in graph.needs().items()
        for target, relation in targets
    }
    assert pairs == {e for e in graph.edges if e.relation not in OWNERSHIP}
    assert graph.needs().keys() == graph.artifacts.keys()


@given(graphs(), st.sampled_from(list(Relation)))
def test_targets_are_the_edges_of_one_source(graph: Graph, relation: Relation) -> None:
    for name in graph.artifacts:
        assert graph.targets(name) == sorted(e.target for e in graph.edges if e.source == name)
        assert graph.targets(name, relation) == sorted(
            e.target for e in graph.edges if e.source == name and e.relation is relation
        )


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (graph_of(artifact("a"), roots="b"), "root b is not in the graph"),
        (graph_of(artifact("a"), edges="a->b"), "edge a -> b: b is not in the graph"),
        (graph_of(artifact("a"), edges="b->a"), "edge b -> a: b is not in the graph"),
        (
            replace(graph_of(), artifacts={ArtifactId("x"): artifact("y")}),
            "x is stored under the id of y",
        ),
    ],
)
def test_each_kind_of_broken_graph_is_named(broken: Graph, said: str) -> None:
    assert said in broken.problems()


def test_a_part_has_one_owner_and_parts_sum_to_their_file() -> None:
    part = artifact("p", Kind.SECTION, 3)
    graph = graph_of(artifact("a", size=3), artifact("b", size=4), part).with_edges(
        Edge(ArtifactId(owner), part.id, Relation.CONTAINS) for owner in "ab"
    )
    assert graph.problems() == ["p has two owners", "the parts of b are 3 bytes of 4"]


def test_a_source_map_ships_nothing_and_goes_with_a_script_that_changed() -> None:
    script = Artifact(ArtifactId("a.js"), Kind.JS, Digest("1"), Bytes(100))
    sourcemap = Artifact(ArtifactId("a.js.map"), Kind.SOURCEMAP, Digest("2"), Bytes(300))
    edge = Edge(sourcemap.id, script.id, Relation.MAPS)
    graph = Graph({a.id: a for a in (script, sourcemap)}, frozenset({edge}), frozenset({script.id}))
    assert graph.problems() == []
    assert (graph.size, graph.delivered) == (100, 100)
    assert graph.maps() == {script.id: sourcemap}
    assert graph.without_stale_maps(graph) == graph
    changed = graph.with_artifacts([replace(script, digest=Digest("3"))])
    assert changed.without_stale_maps(graph).maps() == {}
    new = changed.with_artifacts([replace(sourcemap, digest=Digest("4"))])
    assert new.without_stale_maps(graph) == new
    bare = Graph({script.id: script}, frozenset(), frozenset({script.id}))
    assert graph.without_stale_maps(bare) == graph
