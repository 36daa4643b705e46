"""Finds weights that a model stores twice, or that several models store each for itself.

What it does
    Keeps equal and transposed weights of a copy of each model once, as the pass ``share-tensors``
    does, and reports the bytes that this saves. Then compares the weights of different models:
    those that an earlier one (by name) holds already are reported with their bytes. ORT models
    are compared as the ONNX models that they were made of.

Why
    Exporters write tied embeddings twice, branches get weights of their own, and the two halves
    of an encoder/decoder share layers. No compressor finds a transposed copy.

Advice
    Run ``share-tensors`` (an ORT file first through ``import-ort``). Weights that several models
    share can lie in one file of external data.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.checks.base import Advice, measured, shipped_models
from toolchain.formats.onnx_savings import Saved, by_sharing
from toolchain.formats.stored_weights import digests
from toolchain.ir import ArtifactId, Digest, Finding, Graph, Severity, Store
from toolchain.units import Bytes, show_bytes

_SAYS = Advice(
    "duplicate-tensor",
    "stores weights twice: keeping each once saves {bytes}",
    "share-tensors keeps one of each; an ORT file goes through import-ort first",
)
_SHOWN = 5  # ours: weights named in a finding


def fix(data: bytes) -> Saved | None:
    """Return what sharing saves."""
    return by_sharing(data)


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each model with copies inside, then for each with copies of others'."""
    yield from measured(graph, store, fix, _SAYS)
    yield from _across(graph, store)


def _across(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each model that repeats weights of one before it."""
    owner: dict[bytes, tuple[ArtifactId, Digest]] = {}
    for model in shipped_models(graph):
        repeated: list[tuple[str, int, ArtifactId]] = []
        for weight in digests(store.get(model.digest)):
            first, digest = owner.setdefault(weight.digest, (model.id, model.digest))
            if digest != model.digest:  # equal files are another finding
                repeated.append((weight.name, weight.size, first))
        if not repeated:
            continue
        size = Bytes(sum(size for _, size, _ in repeated))
        largest = sorted(repeated, key=lambda row: (-row[1], row[0]))[:_SHOWN]
        yield Finding(
            check="duplicate-tensor",
            where=model.id,
            message=f"{show_bytes(size)} of its weights ({len(repeated)}) lie in another model",
            advice="keep them in one file of external data that both models name",
            cost=size,
            severity=Severity.NOTE,
            evidence=tuple(
                f"{name} {show_bytes(count)}, in {first}" for name, count, first in largest
            ),
        )
