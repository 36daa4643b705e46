"""The pass delta: what is compressed against what, and what its proof sees."""

from __future__ import annotations

import random
from dataclasses import asdict, replace

import pytest
from graph_strategies import graph_of

from toolchain.formats.compression_dictionary import delta_name, encode_delta
from toolchain.ir import Artifact, ArtifactId, Digest, Edge, Graph, Kind, MemoryStore, Relation
from toolchain.passes.compress import Compress
from toolchain.passes.delta import Delta
from toolchain.units import Bytes
from toolchain.verify import same_bytes

_RANDOM = random.Random(5)  # noqa: S311 - a fixed seed makes the same test every time
_OLD = b"".join(b"export const v%x = %d;\n" % (_RANDOM.getrandbits(40), i) for i in range(500))
_NEW = _OLD.replace(b" = 77;", b" = 78;") + b"export const more = 1;\n"
_OTHER = b"".join(b"export let w%x = %d;\n" % (_RANDOM.getrandbits(40), i) for i in range(500))


def _project(**files: bytes) -> tuple[Graph, MemoryStore]:
    store = MemoryStore()
    artifacts = [
        Artifact(ArtifactId(n), Kind.JS, store.put(d), Bytes(len(d))) for n, d in files.items()
    ]
    return graph_of(*artifacts, roots=" ".join(a.id for a in artifacts)), store


def _released(store: MemoryStore, **files: bytes) -> dict[str, str]:
    return {name: store.put(data) for name, data in files.items()}


def _made() -> tuple[Graph, Graph, MemoryStore, Delta]:
    graph, store = _project(app=_NEW, other=_OTHER)
    made = Delta(previous=_released(store, app=_OLD))
    return graph, made.apply(graph, store), store, made


def test_a_delta_is_for_who_has_the_last_release_and_changes_nothing_for_others() -> None:
    graph, after, store, made = _made()
    (name,) = after.artifacts.keys() - graph.artifacts.keys()
    assert name == delta_name("app", Digest(made.previous["app"]))
    assert after.artifacts[name].size < 200
    assert (after.files, after.size, after.delivered) == (graph.files, graph.size, graph.delivered)
    proof = same_bytes.prove(graph, after, store, asdict(made))
    assert proof.holds
    assert "1 deltas" in proof.detail
    assert made.apply(after, store) == after


def test_of_several_files_that_differ_in_a_hash_the_most_similar_is_the_dictionary() -> None:
    graph, store = _project(**{"a-CCCCCCCC.js": _NEW})
    larger = _OLD + _OTHER * 3  # not the nearest in size
    old = _released(store, **{"a-AAAAAAAA.js": _OTHER[: len(_NEW)], "a-BBBBBBBB.js": larger})
    after = Delta(previous=old).apply(graph, store)
    assert delta_name("a-CCCCCCCC.js", Digest(old["a-BBBBBBBB.js"])) in after.artifacts


def test_a_file_that_moved_unchanged_gets_none_and_the_same_release_none_at_all() -> None:
    graph, store = _project(app=_NEW, moved=_OTHER)
    released = _released(store, app=_NEW, other=_OTHER, moved=_OLD)
    assert Delta(previous=released).apply(graph, store) is graph


def test_a_delta_has_to_beat_the_smallest_sibling() -> None:
    graph, store = _project(app=_OTHER[:4000] + _OLD[:8000])
    whole = Compress().apply(graph, store)
    made = Delta(previous=_released(store, app=_OLD[:8000]))
    assert made.apply(whole, store) != whole
    least = 0.9  # of brotli's bytes: half of the file is new
    assert replace(made, least_saving=least).apply(whole, store) is whole
    assert replace(made, least_bytes=whole.least()[ArtifactId("app")]).apply(whole, store) is whole


def test_a_last_release_of_other_or_more_files_or_of_larger_ones_is_none_the_worse() -> None:
    graph, store = _project(app=_NEW)
    assert Delta(previous=_released(store, gone=_OLD)).apply(graph, store) is graph
    large = Delta(previous=_released(store, app=_OTHER * 20 + _OLD, gone=_OTHER))
    after = large.apply(graph, store)
    assert same_bytes.prove(graph, after, store, asdict(large)).holds
    assert len(after.artifacts) == 2


def test_the_costliest_files_go_without_when_time_is_short_the_others_keep_theirs() -> None:
    graph, store = _project(large=_NEW * 8, small=_NEW)
    old = _released(store, large=_OLD * 8, small=_OLD)
    seconds = 0.03 * 2 * len(_NEW) / 1e6 * 2
    after = Delta(previous=old, seconds=seconds).apply(graph, store)
    assert [i for i in after.artifacts if i.endswith(".dcz")] == [
        delta_name("small", Digest(old["small"]))
    ]


def _swapped(after: Graph, store: MemoryStore, data: bytes) -> Graph:
    (name,) = (i for i in after.artifacts if i.endswith(".dcz"))
    old = after.artifacts[name]
    return after.with_artifacts([replace(old, digest=store.put(data), size=Bytes(len(data)))])


def test_the_proof_sees_a_delta_to_another_file_or_with_another_dictionary() -> None:
    graph, after, store, made = _made()
    wrong = {
        "other bytes": encode_delta(_OLD[:-1] + b" " + b"export const more = 1;\n", _OLD, 3),
        "does not have": encode_delta(_NEW, _OTHER, 3),
        "begins": _NEW[:300],
        "bytes": encode_delta(_OTHER, _OLD, 3),
    }
    for word, data in wrong.items():
        proof = same_bytes.prove(graph, _swapped(after, store, data), store, asdict(made))
        assert not proof.holds, word
        assert word in proof.detail


def test_the_proof_sees_every_flipped_byte_that_changes_the_file() -> None:
    graph, after, store, made = _made()
    delta = store.get(next(a.digest for i, a in after.artifacts.items() if i.endswith(".dcz")))
    for at in range(len(delta)):
        broken = bytearray(delta)
        broken[at] ^= 0x04
        proof = same_bytes.prove(graph, _swapped(after, store, bytes(broken)), store, asdict(made))
        assert not proof.holds, at


@pytest.mark.parametrize("relation", [Relation.ENCODES, Relation.MAPS, Relation.FETCH])
def test_the_proof_sees_a_delta_that_is_tied_as_something_else(relation: Relation) -> None:
    graph, after, store, made = _made()
    (good,) = (e for e in after.edges if e.relation is Relation.DELTA)
    wrong = replace(after, edges=after.edges - {good} | {replace(good, relation=relation)})
    assert not same_bytes.prove(graph, wrong, store, asdict(made)).holds


def test_the_proof_sees_a_delta_under_the_name_of_another() -> None:
    graph, after, store, made = _made()
    (good,) = (e.source for e in after.edges if e.relation is Relation.DELTA)
    wrong = after.renamed({good: ArtifactId("app.0000000000000000.dcz")})
    assert "called" in same_bytes.prove(graph, wrong, store, asdict(made)).detail


def test_what_keeps_a_file_keeps_its_delta() -> None:
    _, after, _, _ = _made()
    edge = Edge(ArtifactId("app"), ArtifactId("other"), Relation.IMPORT)
    assert after.with_edges([edge]).needs()[ArtifactId("app")] == [("other", Relation.IMPORT)]
