"""Proves that a list of operators names everything that the models need.

What it does
    Reads each model again with another reader (one that walks the file's bytes and knows no
    onnxruntime), collects the operators that it names in the main graph, branches, loop bodies
    and functions, and looks for each on the new list. Checks that nothing else changed.

When it holds
    No operator is missing, and the list is the only new file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from toolchain.errors import InputError
from toolchain.formats import onnx_wire, ort_model
from toolchain.formats.onnx_operators import read
from toolchain.ir import Artifact, ArtifactId, Graph, Kind, Proof, Store


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare the list with the models; the detail names the first operator that is missing."""
    models = _chosen(before, options)
    name = ArtifactId(str(options.get("file")))
    if not models and before == after:
        return Proof("lists-operators", holds=True, detail="there are no models")
    problem = next(_problems(before, after, store, (name, models)), "")
    detail = f"everything that {len(models)} models name is on the list"
    return Proof("lists-operators", holds=not problem, detail=problem or detail)


def _chosen(graph: Graph, options: Mapping[str, object]) -> list[Artifact]:
    globs = options.get("models")
    patterns = globs if isinstance(globs, tuple | list) else ("*",)
    return [
        a
        for i, a in graph.files.items()
        if a.kind in {Kind.ONNX, Kind.ORT} and any(fnmatchcase(i, str(g)) for g in patterns)
    ]


def _problems(
    before: Graph, after: Graph, store: Store, asked: tuple[ArtifactId, list[Artifact]]
) -> Iterator[str]:
    name, models = asked
    expected = {**before.artifacts, name: after.artifacts.get(name)}
    if expected != after.artifacts or before.edges != after.edges or before.roots != after.roots:
        yield f"more than {name} is not what it was"
        return
    text = store.get(after.artifacts[name].digest).decode()
    listed = {_called(o.domain, o.name) for o in read(text)}
    for model in models:
        if f"# not read: {model.id}: " in text:
            continue
        for operator in sorted(_named(store.get(model.digest)) - listed):
            yield f"{model.id} needs {operator}, which is not on the list"


def _called(domain: str, name: str) -> str:
    """Return an operator as inventories name it: without the two domains that everybody knows."""
    return name if domain in {"ai.onnx", "com.microsoft"} else f"{domain}:{name}"


def _named(data: bytes) -> set[str]:
    """Return the operators that a model's bytes name, less its own functions."""
    view = memoryview(data)
    is_ort = data[4:8] == ort_model.IDENTIFIER
    try:
        found = ort_model.inventory(view) if is_ort else onnx_wire.inventory(view)
    except InputError:
        return set()
    return {name for name in found.operators if name not in found.functions}
