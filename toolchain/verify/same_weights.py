"""Proves that a model with its weights inside is the model that had them in other files.

What it does
    Writes each changed model as it was, with the files it needs, into a folder, and has onnx's own
    loader read it there. Checks that nothing else in the graph changed: files that are gone were
    needed by changed models alone. Says of each model that was left alone why.

When it holds
    What the loader reads is the result, byte for byte.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from toolchain.errors import InputError
from toolchain.formats.external_data import inlined, reference
from toolchain.ir import Artifact, ArtifactId, Graph, Kind, Proof, Relation, Store


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare every changed model; the detail names the first that differs."""
    del options  # the pass has none
    models = [a for a in before.files.values() if a.kind is Kind.ONNX]
    needing = [a for a in models if before.targets(a.id, Relation.FETCH)]
    changed = [a for a in needing if after.artifacts.get(a.id) != a]
    problem = next(_problems(before, after, changed, store), "")
    left = [_why(a, before, store) for a in needing if a not in changed]
    detail = "; ".join([f"{len(changed)} models are one file now", *filter(None, left)])
    return Proof("same-weights", holds=not problem, detail=problem or detail)


def _problems(before: Graph, after: Graph, changed: list[Artifact], store: Store) -> Iterator[str]:
    yield from after.problems()
    ids = {artifact.id for artifact in changed}
    gone = {e for e in before.edges if e.source in ids and e.relation is Relation.FETCH}
    if before.edges - gone != after.edges or before.roots != after.roots:
        yield "other edges or roots are not what they were"
    spare = {e.target for e in gone} - {e.target for e in after.edges}
    for name in sorted(before.artifacts.keys() | after.artifacts.keys()):
        old, new = before.artifacts.get(name), after.artifacts.get(name)
        if old != new and name not in (ids if new else spare):
            yield f"{name} is {'not what it was' if old and new else 'gone or new'}"
    for artifact in changed:
        if artifact.id in after.artifacts:
            yield from _difference(artifact.id, before, after, store)


def _difference(model: ArtifactId, before: Graph, after: Graph, store: Store) -> Iterator[str]:
    try:
        expected = _loaded(model, before, store)
    except InputError as error:
        yield f"{model}: {error}"
        return
    if expected != store.get(after.artifacts[model].digest):
        yield f"{model} is not what onnx reads from its files"


def _loaded(model: ArtifactId, graph: Graph, store: Store) -> bytes:
    with tempfile.TemporaryDirectory(prefix="vtool-") as folder:
        start = model.rfind("/") + 1
        for name in (model, *graph.targets(model, Relation.FETCH)):
            path = Path(folder) / name[start:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.get(graph.artifacts[name].digest))
        return reference(Path(folder) / model[start:])


def _why(model: Artifact, graph: Graph, store: Store) -> str:
    """Return why a model was left alone; nothing if it has no weights in other files."""
    start = model.id.rfind("/") + 1
    files = {
        target[start:]: memoryview(store.get(graph.artifacts[target].digest))
        for target in graph.targets(model.id, Relation.FETCH)
        if target in graph.files
    }
    try:
        inlined(store.get(model.digest), files)
    except InputError as error:
        return f"{model.id} is left alone: {error}"
    return ""
