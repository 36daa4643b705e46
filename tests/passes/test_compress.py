"""The pass compress: how hard it tries, what its proof sees, and that it is the same every time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from graph_strategies import artifact, graph_of, graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.formats.compression import SUFFIX, Codec, decode
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, MemoryStore, Relation
from toolchain.passes.compress import Compress, effort_of, encode_file
from toolchain.units import Bytes
from toolchain.verify import same_bytes

_CODE = b"".join(b"export const value%d = compute(%d);\n" % (i, i * i) for i in range(200))
_BEST = effort_of(replace(artifact("x", Kind.JS), size=Bytes(1)))
_NOISE = random.Random(2).randbytes(5000)  # noqa: S311 - a fixed seed makes the same test every time


def _project(**files: bytes) -> tuple[Graph, MemoryStore]:
    store = MemoryStore()
    artifacts = [
        Artifact(ArtifactId(f"{n}.js"), Kind.JS, store.put(d), Bytes(len(d)))
        for n, d in files.items()
    ]
    return graph_of(*artifacts, roots=" ".join(a.id for a in artifacts)), store


def _blank(graph: Graph) -> MemoryStore:
    """Return a store with the bytes that the drawn artifacts stand for."""
    store = MemoryStore()
    for a in graph.artifacts.values():
        store.put((a.id.encode() * a.size)[: a.size])
    return store


@settings(max_examples=30)
@given(graphs(), st.integers(0, 60))
def test_any_graph_is_compressed_with_proof_and_twice_is_once(graph: Graph, least: int) -> None:
    store = _blank(graph)
    made = Compress(least_bytes=least)
    after = made.apply(graph, store)
    assert after.problems() == []
    assert same_bytes.prove(graph, after, store, {}).holds
    assert after.delivered <= graph.delivered
    assert after.size == graph.size
    assert made.apply(after, store) == after


def test_siblings_are_the_same_in_another_store_and_order() -> None:
    one = Compress().apply(*_project(a=_CODE, b=_CODE[:3000]))
    other = Compress().apply(*_project(b=_CODE[:3000], a=_CODE))
    assert one == other


def test_noise_gets_no_sibling_and_an_unchanged_graph_is_the_same_object() -> None:
    graph, store = _project(noise=_NOISE)
    assert Compress().apply(graph, store) is graph


def test_a_saving_under_one_percent_is_not_kept() -> None:
    nearly_noise = _NOISE + b"a" * 60  # under 1 % can be saved
    assert encode_file(nearly_noise, list(Codec), _BEST) == {}
    two_percent = _NOISE + b"a" * 140
    assert set(encode_file(two_percent, list(Codec), _BEST)) == set(Codec)


@pytest.mark.parametrize(
    ("kind", "size", "brotli", "rounds"),
    [
        (Kind.JS, 4_000_000, 11, 5),
        (Kind.JS, 4_000_001, 11, 0),
        (Kind.GGUF, 4_000_000, 11, 0),
        (Kind.ORT, 4_000_001, 6, 0),
        (Kind.WASM, 1_000_000, 11, 5),
        (Kind.WASM, 16_000_000, 11, 0),
        (Kind.WASM, 16_000_001, 10, 0),
        (Kind.WASM, 64_000_001, 6, 0),
        (Kind.SAFETENSORS, 4_000_001, 6, 0),  # of no class: as the last one's
    ],
)
def test_effort_ends_where_its_time_does(kind: Kind, size: int, brotli: int, rounds: int) -> None:
    found = effort_of(replace(artifact("x", kind), size=Bytes(size)))
    assert (found.brotli, found.zopfli) == (brotli, rounds)


def test_what_takes_too_long_altogether_gets_less_effort_beginning_with_the_costliest() -> None:
    graph, store = _project(large=_CODE * 40, small=_CODE)
    ample = Compress().apply(graph, store)
    short = Compress(seconds=3.0 * len(_CODE) * 2 / 1e6).apply(graph, store)

    def size(found: Graph, name: str) -> int:
        return found.artifacts[ArtifactId(name)].size

    assert size(short, "large.js.br") > size(ample, "large.js.br")
    assert size(short, "small.js.br") == size(ample, "small.js.br")
    none = Compress(seconds=0).apply(graph, store)
    assert size(none, "small.js.gz") > size(ample, "small.js.gz")
    assert none.artifacts.keys() == ample.artifacts.keys()


def test_zopfli_is_never_larger_and_is_read_by_zlib() -> None:
    graph, store = _project(a=_CODE)
    name = ArtifactId("a.js.gz")
    ours, theirs = (Compress(zopfli=on).apply(graph, store).artifacts[name] for on in (True, False))
    assert ours.size < theirs.size
    assert decode(store.get(ours.digest), Codec.GZIP, len(_CODE)) == _CODE


def _compressed() -> tuple[Graph, Graph, MemoryStore]:
    before, store = _project(a=_CODE, b=_CODE[:3000])
    return before, Compress().apply(before, store), store


def _with_bytes(graph: Graph, store: MemoryStore, name: str, data: bytes) -> Graph:
    old = graph.artifacts[ArtifactId(name)]
    new = replace(old, digest=store.put(data), size=Bytes(len(data)))
    return graph.with_artifacts([new])


@pytest.mark.parametrize("codec", list(Codec))
def test_the_proof_sees_a_sibling_of_another_file(codec: Codec) -> None:
    before, after, store = _compressed()
    other = store.get(after.artifacts[ArtifactId("b.js" + SUFFIX[codec])].digest)
    wrong = _with_bytes(after, store, "a.js" + SUFFIX[codec], other)
    proof = same_bytes.prove(before, wrong, store, {})
    assert not proof.holds
    assert f"a.js{SUFFIX[codec]}" in proof.detail


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("at", [0, 7, 40, -1])
def test_the_proof_sees_one_flipped_byte_or_the_bytes_are_the_same(codec: Codec, at: int) -> None:
    before, after, store = _compressed()
    name = "a.js" + SUFFIX[codec]
    data = bytearray(store.get(after.artifacts[ArtifactId(name)].digest))
    data[at] ^= 0x20
    wrong = _with_bytes(after, store, name, bytes(data))
    try:
        same = decode(bytes(data), codec, len(_CODE)) == _CODE  # a flag that changes nothing
    except Exception:  # noqa: BLE001 - whatever a codec says to a broken stream
        same = False
    assert same_bytes.prove(before, wrong, store, {}).holds == same


def test_the_proof_sees_a_sibling_under_the_wrong_name() -> None:
    before, after, store = _compressed()
    names = {ArtifactId("a.js.br"): ArtifactId("a.js.gz"), ArtifactId("a.js.gz"): ArtifactId("x")}
    assert not same_bytes.prove(before, after.renamed(names), store, {}).holds


def test_the_proof_sees_a_size_that_is_not_that_of_the_bytes() -> None:
    before, after, store = _compressed()
    old = after.artifacts[ArtifactId("a.js.br")]
    wrong = after.with_artifacts([replace(old, size=Bytes(old.size - 1))])
    assert "bytes, not" in same_bytes.prove(before, wrong, store, {}).detail


def test_the_proof_sees_a_sibling_with_another_edge_or_kind() -> None:
    before, after, store = _compressed()
    good = Edge(ArtifactId("a.js.br"), ArtifactId("a.js"), Relation.ENCODES)
    imported = replace(good, relation=Relation.IMPORT)
    linked = replace(after, edges=after.edges - {good} | {imported})
    odd = replace(after.artifacts[good.source], kind=Kind.DATA)
    for wrong in (linked, after.with_artifacts([odd])):
        assert "no compressed sibling" in same_bytes.prove(before, wrong, store, {}).detail


def test_the_proof_sees_a_sibling_of_a_part() -> None:
    store = MemoryStore()
    part = Artifact(ArtifactId("a#part"), Kind.ENTRY, store.put(_CODE), Bytes(len(_CODE)))
    owner = replace(part, id=ArtifactId("a"), kind=Kind.JS)
    whole = graph_of(owner, part).with_edges([Edge(owner.id, part.id, Relation.CONTAINS)])
    data = encode_file(_CODE, [Codec.BROTLI], _BEST)[Codec.BROTLI]
    name = ArtifactId("a#part.br")
    sibling = Artifact(name, Kind.COMPRESSED, store.put(data), Bytes(len(data)))
    after = whole.with_artifacts([sibling]).with_edges([Edge(name, part.id, Relation.ENCODES)])
    assert "no file of its own" in same_bytes.prove(whole, after, store, {}).detail


def test_the_proof_sees_that_a_file_without_siblings_changed_and_that_an_edge_is_gone() -> None:
    before, store = _project(a=_CODE, short=b"x")
    edge = Edge(ArtifactId("a.js"), ArtifactId("short.js"), Relation.IMPORT)
    before = before.with_edges([edge])
    after = Compress().apply(before, store)
    assert same_bytes.prove(before, after, store, {}).holds
    for wrong in (
        _with_bytes(after, store, "short.js", b"y"),
        replace(after, edges=after.edges - {edge}),
    ):
        assert not same_bytes.prove(before, wrong, store, {}).holds


def test_a_file_of_just_the_least_size_is_compressed() -> None:
    graph, store = _project(a=_CODE[:3000])
    assert Compress(least_bytes=3001).apply(graph, store) is graph
    assert len(Compress(least_bytes=3000).apply(graph, store).artifacts) == 4


def test_the_proof_sees_a_changed_file_a_lost_file_and_another_root() -> None:
    before, after, store = _compressed()
    changed = _with_bytes(after, store, "a.js", _CODE + b"\n")
    lost = after.keep(after.artifacts.keys() - {"b.js"})
    unrooted = replace(after, roots=frozenset({ArtifactId("a.js")}))
    for wrong in (changed, lost, unrooted):
        assert not same_bytes.prove(before, wrong, store, {}).holds


def test_the_proof_sees_what_is_new_and_no_sibling() -> None:
    before, after, store = _compressed()
    stray = after.with_artifacts([artifact("stray")])
    edge = Edge(ArtifactId("a.js"), ArtifactId("b.js"), Relation.IMPORT)
    linked = after.with_edges([edge])
    for wrong in (stray, linked):
        assert not same_bytes.prove(before, wrong, store, {}).holds


def test_the_proof_sees_a_sibling_that_does_not_pay() -> None:
    before, store = _project(noise=_NOISE)
    sibling = Artifact(ArtifactId("noise.js.zst"), Kind.COMPRESSED, store.put(b""), Bytes(5001))
    edge = Edge(sibling.id, ArtifactId("noise.js"), Relation.ENCODES)
    after = before.with_artifacts([sibling]).with_edges([edge])
    assert "not smaller" in same_bytes.prove(before, after, store, {}).detail
