"""Proves that a model with its weights in other files is the model that held them.

What it does
    Writes each changed model and its files into a folder, as an installation would. onnx's own
    loader reads it there, and onnxruntime opens it. Checks that nothing else in the graph changed:
    what is new is needed by changed models and by nothing else.

When it holds
    What the loader reads is the original, message by message; of the weights every byte, whichever
    of ONNX's ways the original wrote them in.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from toolchain.errors import InputError
from toolchain.formats.external_data import reference
from toolchain.formats.onnx_external import with_raw_weights
from toolchain.formats.onnx_session import session
from toolchain.ir import Artifact, Graph, Kind, Proof, Relation, Store
from toolchain.units import show_bytes


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare every changed model with its files; the detail names the first that fails."""
    del options  # wherever the weights went, the model is the same
    changed = [a for i, a in before.artifacts.items() if after.artifacts.get(i) != a]
    new = [a for i, a in after.artifacts.items() if i not in before.artifacts]
    problem = next(_problems(before, after, changed, store), "")
    detail = (
        f"{len(changed)} models are the same with {show_bytes(sum(a.size for a in new))} of their "
        f"weights in {len(new)} files"
    )
    return Proof("same-model", holds=not problem, detail=problem or detail)


def _problems(before: Graph, after: Graph, changed: list[Artifact], store: Store) -> Iterator[str]:
    yield from after.problems()
    if not before.edges <= after.edges or before.roots != after.roots:
        yield "edges or roots are not what they were"
    ids = {model.id for model in changed}
    added = after.edges - before.edges
    for edge in sorted(added):
        if edge.source not in ids or edge.target in before.artifacts:
            yield f"the edge {edge.source} -> {edge.target} is of no changed model"
    for name in sorted(after.artifacts.keys() - before.artifacts.keys()):
        if name not in {edge.target for edge in added}:
            yield f"nothing needs {name}"
    for model in changed:
        if model.id not in after.artifacts or model.kind is not Kind.ONNX:
            yield f"{model.id} is gone, or is no model"
            continue
        yield from _difference(model, after, store)


def _difference(model: Artifact, after: Graph, store: Store) -> Iterator[str]:
    start = model.id.rfind("/") + 1
    with tempfile.TemporaryDirectory(prefix="vtool-") as folder:
        for name in (model.id, *after.targets(model.id, Relation.FETCH)):
            path = Path(folder) / name[start:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.get(after.artifacts[name].digest))
        main = Path(folder) / model.id[start:]
        try:
            if with_raw_weights(reference(main)) != with_raw_weights(store.get(model.digest)):
                yield f"{model.id} is not what onnx reads from its files"
            session(main)
        except InputError as error:
            yield f"{model.id}: {error}"
