"""Why an artifact is there: a chain that exists, is shortest and always the same."""

from __future__ import annotations

import networkx as nx
import pytest
from graph_strategies import artifact, graph_of, graphs
from hypothesis import given

from toolchain.analysis.dominators import retained
from toolchain.analysis.reachability import reachable
from toolchain.analysis.why import packages_called, why, why_package
from toolchain.errors import ConfigError
from toolchain.ir import ArtifactId, Graph
from toolchain.ir.artifact import OWNERSHIP


@given(graphs())
def test_chain_leads_from_a_root_by_edges_of_the_graph_and_none_is_shorter(graph: Graph) -> None:
    ways: nx.DiGraph[str] = nx.DiGraph([("start", r) for r in graph.roots])
    ways.add_node("start")
    for edge in graph.edges:
        ways.add_edge(edge.source, edge.target)
        if edge.relation in OWNERSHIP:
            ways.add_edge(edge.target, edge.source)
    steps = nx.single_source_shortest_path_length(ways, "start")
    for name in graph.artifacts:
        found = why(graph, name)
        assert (found.root is None) == (name not in reachable(graph))
        assert found.retained == retained(graph)[name]
        assert set(found.chain) <= graph.edges
        if found.root is None:
            assert found.chain == ()
            continue
        assert len(found.chain) == steps[name] - 1
        at: str = found.root
        for edge in found.chain:
            assert at in {edge.source, edge.target}
            at = edge.target if at == edge.source else edge.source
        assert at == name


def test_of_two_equal_chains_the_first_by_name_is_given() -> None:
    graph = graph_of(
        *(artifact(n) for n in ("app", "b", "a", "end")),
        edges="app->b app->a a->end b->end",
        roots="app",
    )
    assert [e.target for e in why(graph, ArtifactId("end")).chain] == ["a", "end"]


@pytest.mark.parametrize("wrong", ["sherpa.wasm", "node_modules/x/shreppa.wasm"])
def test_a_name_that_is_nearly_right_is_offered(wrong: str) -> None:
    graph = graph_of(artifact("node_modules/x/sherpa.wasm"), artifact("app"))
    with pytest.raises(ConfigError, match="nothing is called") as raised:
        why(graph, ArtifactId(wrong))
    assert "node_modules/x/sherpa.wasm" in raised.value.hint


def test_a_package_keeps_what_is_only_reached_through_its_files() -> None:
    names = ("app", "node_modules/a/x", "node_modules/a/y", "node_modules/b/z", "shared", "only")
    edges = "app->node_modules/a/x app->node_modules/b/z node_modules/a/x->node_modules/a/y "
    edges += "node_modules/a/y->only node_modules/a/x->shared node_modules/b/z->shared"
    graph = graph_of(*(artifact(n) for n in names), edges=edges, roots="app")
    assert packages_called(graph, "a") == packages_called(graph, "node_modules/a")
    found = why_package(graph, *packages_called(graph, "a"))
    assert [e.target for e in found.chain] == ["node_modules/a/x"]
    files = graph.files
    own = sum(a.size for i, a in files.items() if i.startswith("node_modules/a/"))
    assert (found.root, found.size) == ("app", own)
    assert found.retained == own + files[ArtifactId("only")].size
    assert packages_called(graph, "c") == []


def test_a_name_like_no_other_gets_a_way_to_list_them() -> None:
    with pytest.raises(ConfigError) as raised:
        why(graph_of(artifact("app")), ArtifactId("zzz"))
    assert "vtool analyze" in raised.value.hint
