"""same-weights holds where onnx reads the same, and nothing else changed."""

from __future__ import annotations

from dataclasses import replace

import golden

from toolchain.ir import ArtifactId, Graph, Kind, MemoryStore
from toolchain.passes.inline_weights import InlineWeights
from toolchain.units import Bytes
from toolchain.verify import same_weights

CASE = golden.read(
    golden.ROOT / "fixtures" / "passes" / "inline-weights" / "weights-move-into-the-model.txt"
)
MODEL = ArtifactId("models/a.onnx")


def both() -> tuple[Graph, Graph, MemoryStore]:
    graph, store = golden.parse(CASE.given)
    return graph, InlineWeights().apply(graph, store), store


def test_it_says_how_many_models_changed_and_why_one_did_not() -> None:
    before, after, store = both()
    proof = same_weights.prove(before, after, store, {})
    assert proof.holds
    assert "1 models are one file now; models/b.onnx is left alone" in proof.detail
    assert "'w' end at byte 12 of 'shared.bin', which has 9" in proof.detail


def test_one_changed_weight_is_found() -> None:
    before, after, store = both()
    data = bytearray(store.get(after.artifacts[MODEL].digest))
    data[data.index(b"abc")] ^= 1
    wrong = replace(after.artifacts[MODEL], digest=store.put(bytes(data)))
    proof = same_weights.prove(before, after.with_artifacts([wrong]), store, {})
    assert not proof.holds
    assert "models/a.onnx is not what onnx reads" in proof.detail


def test_a_lost_or_changed_neighbour_is_found() -> None:
    before, after, store = both()
    shared = ArtifactId("models/shared.bin")
    for graph in (
        after.keep(after.artifacts.keys() - {shared}),
        after.with_artifacts([replace(after.artifacts[shared], digest=store.put(b"other"))]),
        after.with_artifacts([replace(after.artifacts[shared], id=ArtifactId("new"))]),
        replace(after, edges=frozenset()),
        replace(after, roots=frozenset({MODEL})),
    ):
        assert not same_weights.prove(before, graph, store, {}).holds


def test_a_result_for_a_model_that_onnx_cannot_read_does_not_hold() -> None:
    before, after, store = both()
    name = ArtifactId("models/b.onnx")
    data = store.get(after.artifacts[MODEL].digest)
    wrong = replace(after.artifacts[name], digest=store.put(data), size=Bytes(len(data)))
    proof = same_weights.prove(before, after.with_artifacts([wrong]), store, {})
    assert not proof.holds
    assert wrong.kind is Kind.ONNX
