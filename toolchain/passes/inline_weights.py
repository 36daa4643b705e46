"""Put the weights of an ONNX model that lie in other files into the model.

What it does
    Copies the bytes of every external tensor to where the model says it is, and drops the files
    that nothing else needs.

Why
    The other passes read one file at a time. With its weights inside a model can be folded,
    shared, quantized and proved like any other.

Keeps
    Every bit of every weight, and all other messages of the model. A model whose weights are
    missing, cut, outside its folder or more than an ONNX file can hold (2 GiB) stays as it is, and
    the ledger says why.

Proof
    ``same-weights``: onnx's own loader finds the same weights in the files.

Source
    onnx, ``docs/ExternalData.md``.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from toolchain.errors import InputError
from toolchain.formats.external_data import inlined, mapped
from toolchain.ir import Artifact, ArtifactId, Digest, DirectoryStore, Graph, Kind, Relation, Store
from toolchain.passes.base import GraphPass
from toolchain.units import Bytes


@dataclass(frozen=True)
class InlineWeights(GraphPass):
    """Make models one file each."""

    proof = "same-weights"

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with the models that can be one file, less the files they needed."""
        changed = []
        for artifact in graph.files.values():
            needed = graph.targets(artifact.id, Relation.FETCH)
            if artifact.kind is not Kind.ONNX or not needed:
                continue
            before = store.get(artifact.digest)
            try:
                files = weight_files(graph, artifact.id)
                after = inlined(before, {n: _bytes(f.digest, store) for n, f in files.items()})
            except InputError:  # the proof finds it again, and says so
                continue
            if after is not before:
                changed.append(replace(artifact, digest=store.put(after), size=Bytes(len(after))))
        return _without_files(graph.with_artifacts(changed), {a.id for a in changed})


def weight_files(graph: Graph, model: ArtifactId) -> dict[str, Artifact]:
    """Return the files that a model needs, by their paths from its folder."""
    folder = model[: model.rfind("/") + 1]
    return {
        target.removeprefix(folder): graph.files[target]
        for target in sorted(graph.targets(model, Relation.FETCH))
        if target in graph.files
    }


def _bytes(digest: Digest, store: Store) -> memoryview:
    if isinstance(store, DirectoryStore):
        return mapped(store.path(digest))
    return memoryview(store.get(digest))


def _without_files(graph: Graph, models: AbstractSet[ArtifactId]) -> Graph:
    """Return ``graph`` less what ``models`` needed, and the files that nothing else needs."""
    gone = {e for e in graph.edges if e.source in models and e.relation is Relation.FETCH}
    if not gone:
        return graph
    edges = graph.edges - gone
    spare = {e.target for e in gone} - {e.target for e in edges} - graph.roots
    return replace(graph, edges=edges).keep(graph.artifacts.keys() - spare)
