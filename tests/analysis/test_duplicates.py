"""Duplicates: what they are, and that their costs add up."""

from __future__ import annotations

from dataclasses import replace

from graph_strategies import artifact, graph_of, graphs
from hypothesis import given

from toolchain.analysis.duplicates import duplicates
from toolchain.ir import ArtifactId, Graph


@given(graphs())
def test_one_copy_of_each_and_the_waste_is_the_whole(graph: Graph) -> None:
    copies = {
        ArtifactId(f"copy/{i}"): replace(a, id=ArtifactId(f"copy/{i}"))
        for i, a in graph.files.items()
    }
    doubled = replace(graph, artifacts={**graph.artifacts, **copies})
    wasted = sum(d.wasted for d in duplicates(doubled))
    distinct = {a.digest: a.size for a in doubled.files.values()}
    assert wasted == doubled.size - sum(distinct.values())


@given(graphs())
def test_ids_are_files_of_equal_bytes(graph: Graph) -> None:
    for same in duplicates(graph):
        assert len(same.ids) > 1
        assert list(same.ids) == sorted(same.ids)
        assert {graph.files[i].digest for i in same.ids} == {same.digest}


def test_the_most_wasteful_come_first() -> None:
    small, large = artifact("s", size=5), artifact("l", size=50)
    graph = graph_of(
        small,
        replace(small, id=ArtifactId("s2")),
        large,
        replace(large, id=ArtifactId("l2")),
    )
    assert [d.ids for d in duplicates(graph)] == [("l", "l2"), ("s", "s2")]
