"""A graph that went through the cache is the same graph."""

from __future__ import annotations

import json
from dataclasses import replace

from graph_strategies import graphs
from hypothesis import given
from hypothesis import strategies as st

from toolchain.ir import Graph
from toolchain.packed_graph import packed, unpacked


@given(graphs(), st.frozensets(st.sampled_from(["browser", "module"])))
def test_what_the_cache_keeps_is_the_graph(graph: Graph, conditions: frozenset[str]) -> None:
    read = replace(
        graph.with_artifacts(
            replace(a, facts=(("dialect", a.id),)) for a in graph.artifacts.values()
        ),
        conditions=conditions,
        kept=frozenset(f"{one}/*" for one in conditions),
    )
    assert unpacked(json.loads(json.dumps(packed(read)))) == read
