"""Reachability, against networkx and by properties that hold for every graph."""

from __future__ import annotations

import networkx as nx
from graph_strategies import artifact, graph_of, graphs
from hypothesis import given
from hypothesis import strategies as st

from toolchain.analysis.reachability import core, loadable, possible_targets, reachable
from toolchain.checks import unreachable_file
from toolchain.ir import ArtifactId, Edge, Graph, Kind, MemoryStore, Relation
from toolchain.ir.artifact import OWNERSHIP
from toolchain.passes.drop_unreachable import DropUnreachable
from toolchain.verify import same_reach


def _walked(graph: Graph) -> set[str]:
    """Return what networkx reaches when each edge of ownership goes both ways."""
    ways: nx.DiGraph[str] = nx.DiGraph()
    ways.add_nodes_from(["start", *graph.artifacts])
    ways.add_edges_from(("start", root) for root in graph.roots)
    for edge in graph.edges:
        if edge.relation in OWNERSHIP:
            ways.add_edge(edge.target, edge.source)
        ways.add_edge(edge.source, edge.target)
    return set(nx.descendants(ways, "start"))


@given(graphs())
def test_reachable_is_what_networkx_reaches(graph: Graph) -> None:
    assert reachable(graph) == _walked(graph)


@given(graphs())
def test_core_is_part_of_reachable_and_that_of_loadable(graph: Graph) -> None:
    assert core(graph) <= reachable(graph) <= loadable(graph)


@given(graphs())
def test_without_unknown_names_loadable_is_reachable(graph: Graph) -> None:
    known = graph.keep({i for i, a in graph.artifacts.items() if a.kind is not Kind.UNKNOWN})
    assert loadable(known) == reachable(known)


def test_core_stops_at_lazy_imports_and_starts_at_pages() -> None:
    graph = graph_of(
        *(artifact(n) for n in ("app", "eager", "lazy", "native-js")),
        artifact("voice.node", Kind.ELF),
        edges="app->eager app~>lazy voice.node->native-js",
        roots="app voice.node",
    )
    assert core(graph) == {"app", "eager"}
    assert reachable(graph) == graph.artifacts.keys()


def test_core_counts_whatever_an_eager_name_may_mean() -> None:
    names = [artifact(n) for n in ("app", "a", "b", "c", "d", "e")]
    relations = {
        "a": Relation.DYNAMIC,
        "b": Relation.WORKER,
        "c": Relation.FETCH,
        "d": Relation.LAZY,
        "e": Relation.LINK,
    }
    graph = graph_of(*names, roots="app").with_edges(
        Edge(ArtifactId("app"), ArtifactId(target), relation)
        for target, relation in relations.items()
    )
    assert core(graph) == {"app", "a", "b", "c"}


@given(graphs(), st.sets(st.sampled_from(["*", "src/*", "*f1"])), st.booleans())
def test_dropping_is_proved_and_doing_it_twice_is_doing_it_once(
    graph: Graph,
    keep: set[str],
    licences: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    made = DropUnreachable(keep=tuple(sorted(keep)), keep_licences=licences)
    after = made.apply(graph, MemoryStore())
    assert same_reach.prove(graph, after, MemoryStore(), {}).holds
    assert made.apply(after, MemoryStore()) == after
    if graph.roots:
        assert reachable(graph) <= after.artifacts.keys()
    else:
        assert after is graph


@given(graphs())
def test_the_check_promises_the_bytes_that_the_pass_saves(graph: Graph) -> None:
    promised = sum(f.cost or 0 for f in unreachable_file.check(graph, MemoryStore()))
    assert promised == graph.size - DropUnreachable().apply(graph, MemoryStore()).size


@given(graphs(), st.data())
def test_the_proof_sees_any_reachable_artifact_that_is_missing(
    graph: Graph, data: st.DataObject
) -> None:
    used = sorted(loadable(graph))
    if not used:
        return
    lost = data.draw(st.sampled_from(used))
    after = graph.keep(graph.artifacts.keys() - {lost})
    assert not same_reach.prove(graph, after, MemoryStore(), {}).holds


@given(graphs(), st.data())
def test_the_proof_sees_a_lost_edge_and_a_new_one(graph: Graph, data: st.DataObject) -> None:
    ids = st.sampled_from(sorted(graph.artifacts))
    edge = data.draw(st.builds(Edge, ids, ids, st.just(Relation.FETCH)))
    changed = Graph(graph.artifacts, graph.edges ^ {edge}, graph.roots)
    assert not same_reach.prove(graph, changed, MemoryStore(), {}).holds


@given(graphs(), st.data())
def test_the_proof_sees_other_bytes_and_other_roots(graph: Graph, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(graph.artifacts)))
    other = artifact("other", size=graph.artifacts[name].size + 1)
    old = graph.artifacts[name]
    swapped = graph.with_artifacts([type(old)(name, old.kind, other.digest, old.size)])
    assert not same_reach.prove(graph, swapped, MemoryStore(), {}).holds
    moved = Graph(graph.artifacts, graph.edges, graph.roots ^ {name})
    assert not same_reach.prove(graph, moved, MemoryStore(), {}).holds


def test_the_proof_sees_that_a_file_which_may_be_meant_is_gone() -> None:
    graph = graph_of(
        artifact("node_modules/a/load.js"),
        artifact("node_modules/a/x.wasm", Kind.WASM),
        artifact("unknown:1", Kind.UNKNOWN, 0),
        edges="node_modules/a/load.js->unknown:1",
        roots="node_modules/a/load.js",
    )
    after = graph.keep(graph.artifacts.keys() - {"node_modules/a/x.wasm"})
    proof = same_reach.prove(graph, after, MemoryStore(), {})
    assert proof.detail == "node_modules/a/load.js may load node_modules/a/x.wasm, which is gone"
    assert not proof.holds


def test_an_unknown_name_in_a_package_means_no_file_of_another() -> None:
    graph = graph_of(
        artifact("node_modules/a/load.js"),
        artifact("node_modules/a/x.wasm", Kind.WASM),
        artifact("node_modules/a/x.js.map", Kind.SOURCEMAP),
        artifact("node_modules/ab/y.wasm", Kind.WASM),
        artifact("unknown:1", Kind.UNKNOWN, 0),
        edges="node_modules/a/load.js->unknown:1",
    )
    assert possible_targets(graph) == {
        "node_modules/a/load.js": ["node_modules/a/load.js", "node_modules/a/x.wasm"]
    }
