"""externalize on a real model, and its proof on files that are not right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import real
from onnx import helper, numpy_helper, parser

from toolchain.errors import ConfigError
from toolchain.formats.onnx_external import externalized, with_raw_weights
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, MemoryStore, Relation
from toolchain.passes.externalize import Externalize
from toolchain.passes.inline_weights import InlineWeights
from toolchain.units import Bytes
from toolchain.verify import same_model

MODEL, DATA = ArtifactId("m/vad.onnx"), ArtifactId("m/vad.onnx.data")


def graph_of(data: bytes) -> tuple[Graph, MemoryStore]:
    store = MemoryStore()
    model = Artifact(MODEL, Kind.ONNX, store.put(data), Bytes(len(data)))
    return Graph({MODEL: model}, frozenset(), frozenset({MODEL})), store


@pytest.fixture(scope="module")
def silero() -> bytes:
    name = "silero_vad/data/silero_vad_16k_op15.onnx"
    return real.file("pypi:silero-vad==6.2.3", name).read_bytes()


@pytest.fixture(scope="module")
def small() -> bytes:
    numbers = ", ".join(map(str, range(300)))
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        main (float[300] x) => (float[300] y)
        <float[300] w = {{{numbers}}}, float[300] v = {{{numbers}}}> {{
           h = Mul (x, w) y = Add (h, v) }}"""
    data: bytes = parser.parse_model(text).SerializeToString()
    return data


@pytest.mark.parametrize("shard_bytes", [0, 50_000])
def test_a_real_model_comes_back_from_its_files(silero: bytes, shard_bytes: int) -> None:
    graph, store = graph_of(silero)
    after = Externalize(shard_bytes=shard_bytes).apply(graph, store)
    files = [a for a in after.artifacts.values() if a.kind is Kind.DATA]
    assert after.artifacts[MODEL].size < 0.3 * len(silero)
    proof = same_model.prove(graph, after, store, {})
    assert proof.holds, proof.detail
    if shard_bytes:
        assert len(files) > 3
    back = InlineWeights().apply(after, store)
    assert back.artifacts.keys() == graph.artifacts.keys()
    whole = with_raw_weights(store.get(back.artifacts[MODEL].digest))
    assert whole == with_raw_weights(silero)


def test_large_weights_start_at_pages_and_small_ones_at_cache_lines() -> None:
    """So that a runtime can map them; what lies between is at most a sixteenth."""
    sizes = {"a": 30, "b": 20_001, "c": 30, "d": 17_000}
    nodes = [helper.make_node("Add", [x, w], [y]) for x, w, y in pairwise_names(sizes)]
    stored = [numpy_helper.from_array(np.ones((n, 1), np.float32), w) for w, n in sizes.items()]
    values = [helper.make_tensor_value_info(n, 1, None) for n in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], stored))
    data, files = externalized(model.SerializeToString(), "w", least_bytes=0, shard_bytes=0)
    offsets = [
        int(next(e.value for e in t.external_data if e.key == "offset"))
        for t in onnx.load_from_string(data).graph.initializer
    ]
    assert offsets == [0, 4096, 84_160, 86_016]
    assert len(files["w"]) == 86_016 + 68_000


def pairwise_names(weights: Iterable[str]) -> list[tuple[str, str, str]]:
    names = list(weights)
    inner = [f"h{n}" for n in names[1:]]
    return list(zip(["x", *inner], names, [*inner, "y"], strict=True))


def flipped(after: Graph, store: MemoryStore) -> Graph:
    data = bytearray(store.get(after.artifacts[DATA].digest))
    data[700] ^= 1
    return after.with_artifacts([replace(after.artifacts[DATA], digest=store.put(bytes(data)))])


def cut(after: Graph, store: MemoryStore) -> Graph:
    data = store.get(after.artifacts[DATA].digest)[:-4]
    file = replace(after.artifacts[DATA], digest=store.put(data), size=Bytes(len(data)))
    return after.with_artifacts([file])


def unneeded(after: Graph, store: MemoryStore) -> Graph:
    more = Artifact(ArtifactId("m/more.data"), Kind.DATA, store.put(b"more"), Bytes(4))
    return after.with_artifacts([more])


def unrooted(after: Graph, store: MemoryStore) -> Graph:
    del store
    return replace(after, roots=frozenset())


def another_edge(after: Graph, store: MemoryStore) -> Graph:
    del store
    return after.with_edges([Edge(DATA, MODEL, Relation.FETCH)])


def another_model(after: Graph, store: MemoryStore) -> Graph:
    data = store.get(after.artifacts[MODEL].digest).replace(b"Mul", b"Sub")
    return after.with_artifacts([replace(after.artifacts[MODEL], digest=store.put(data))])


@pytest.mark.parametrize("damage", [flipped, cut, unneeded, unrooted, another_edge, another_model])
def test_what_is_not_the_same_model_is_not_proved(
    damage: Callable[[Graph, MemoryStore], Graph], small: bytes
) -> None:
    graph, store = graph_of(small)
    after = Externalize().apply(graph, store)
    assert same_model.prove(graph, after, store, {}).holds
    proof = same_model.prove(graph, damage(after, store), store, {})
    assert not proof.holds
    assert proof.detail


def test_a_model_with_compressed_siblings_stays(small: bytes) -> None:
    graph, store = graph_of(small)
    packed = Artifact(ArtifactId(f"{MODEL}.br"), Kind.COMPRESSED, store.put(b"br"), Bytes(2))
    graph = graph.with_artifacts([packed])
    graph = graph.with_edges([Edge(packed.id, MODEL, Relation.ENCODES)])
    assert Externalize().apply(graph, store) is graph


def test_a_file_in_the_way_stays_what_it_is(small: bytes) -> None:
    graph, store = graph_of(small)
    mine = Artifact(DATA, Kind.DATA, store.put(b"mine"), Bytes(4))
    graph = graph.with_artifacts([mine])
    assert Externalize().apply(graph, store) is graph


@pytest.mark.parametrize("option", ["least_bytes", "shard_bytes"])
def test_sizes_below_zero_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} is -1"):
        Externalize(**{option: -1})  # type: ignore[arg-type]  # both are integers
