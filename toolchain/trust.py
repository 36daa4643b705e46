"""Tries every model once in a process of its own, before any pass opens it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from toolchain.errors import InputError
from toolchain.execution.cache import action_key, source_digest
from toolchain.formats.external_data import inlined, mapped
from toolchain.ir import Artifact, ArtifactId, DirectoryStore, Graph, Kind
from toolchain.passes.base import ArtifactPass, GuardedPass, Step, make_pass
from toolchain.passes.inline_weights import weight_files
from toolchain.temporary import temporary_folder
from toolchain.workspace import Workspace

_RUN_BY_A_LIBRARY = frozenset({Kind.ONNX, Kind.ORT})
_GUARD = "toolchain.formats.onnx_guard"


def examine_models(graph: Graph, steps: Sequence[Step], workspace: Workspace) -> None:
    """Load and run once, with limits, every model of ``graph`` that a step or its task would open.

    A model that crashes or hangs the library that runs it would take vtool with it: nothing can
    stop such work from inside. What was tried once is remembered by its content.

    Errors:
        InputError: a model cannot be loaded, or takes too long or too much memory.
    """
    made = [(step.match, make_pass(step.run, step.options)) for step in steps]
    opening = [(match, one.kinds) for match, one in made if isinstance(one, ArtifactPass)]
    opening += [(m.needs, _RUN_BY_A_LIBRARY) for _, m in made if isinstance(m, GuardedPass)]
    todo = {a.id: a for a in graph.files.values() if _is_opened(a, opening)}
    code = source_digest(_GUARD)
    weights = {n: [a.digest for a in weight_files(graph, n).values()] for n in todo}
    keys = {n: action_key("examine", code, a.digest, weights[n]) for n, a in todo.items()}
    new = [name for name in todo if workspace.cache.get(keys[name]) is None]
    works = [_work(graph, todo[name], workspace.store) for name in new]
    for done, outcome in enumerate(workspace.executor.run(examined, works), 1):
        name = new[outcome.index]
        if outcome.error is not None:
            raise _refused(name, outcome.error)
        workspace.cache.put(keys[name], {"fine": True})
        workspace.progress.update("trying models", done, len(new))


@dataclass(frozen=True)
class Examination:
    """One model for a worker; ``weights`` are the files beside it that it names, and where."""

    model: str
    weights: dict[str, str]


def examined(work: Examination) -> bool:
    """Try one model; runs in a worker process, which tries it in a process of its own."""
    from toolchain.formats.onnx_guard import examine  # noqa: PLC0415 - onnxruntime

    if not work.weights:
        examine(Path(work.model))
        return True
    with temporary_folder() as folder:
        whole = Path(folder) / "model.onnx"
        try:
            files = {name: mapped(Path(path)) for name, path in work.weights.items()}
            whole.write_bytes(inlined(Path(work.model).read_bytes(), files))
        except InputError:  # too large to be one file: nothing will open it
            return True
        examine(whole)
    return True


def _work(graph: Graph, model: Artifact, store: DirectoryStore) -> Examination:
    weights = {name: str(store.path(a.digest)) for name, a in weight_files(graph, model.id).items()}
    return Examination(str(store.path(model.digest)), weights)


def _refused(name: ArtifactId, error: Exception) -> InputError:
    hint = getattr(error, "hint", "") or "leave it out of the project, or out of the pipeline"
    return InputError(f"{name}: {error}", hint=hint)


def _is_opened(file: Artifact, opening: Sequence[tuple[Sequence[str], Collection[Kind]]]) -> bool:
    return file.kind in _RUN_BY_A_LIBRARY and any(
        file.kind in kinds and any(fnmatchcase(file.id, glob) for glob in match)
        for match, kinds in opening
    )
