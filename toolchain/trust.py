"""Tries every model once in a process of its own, before any pass opens it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from toolchain.errors import InputError
from toolchain.execution.cache import action_key, source_digest
from toolchain.ir import Artifact, ArtifactId, Graph, Kind
from toolchain.passes.base import ArtifactPass, Step, make_pass
from toolchain.workspace import Workspace

_RUN_BY_A_LIBRARY = frozenset({Kind.ONNX, Kind.ORT})
_GUARD = "toolchain.formats.onnx_guard"


def examine_models(graph: Graph, steps: Sequence[Step], workspace: Workspace) -> None:
    """Load and run once, with limits, every model that a step of ``steps`` would open.

    A model that crashes or hangs the library that runs it would take vtool with it: nothing can
    stop such work from inside. What was tried once is remembered by its content.

    Errors:
        InputError: a model cannot be loaded, or takes too long or too much memory.
    """
    made = [(step.match, make_pass(step.run, step.options)) for step in steps]
    opening = [(match, one.kinds) for match, one in made if isinstance(one, ArtifactPass)]
    todo = {a.id: a for a in graph.files.values() if _is_opened(a, opening)}
    code = source_digest(_GUARD)
    keys = {name: action_key("examine", code, a.digest) for name, a in todo.items()}
    new = [name for name in todo if workspace.cache.get(keys[name]) is None]
    paths = [str(workspace.store.path(todo[name].digest)) for name in new]
    for done, outcome in enumerate(workspace.executor.run(examined, paths), 1):
        name = new[outcome.index]
        if outcome.error is not None:
            raise _refused(name, outcome.error)
        workspace.cache.put(keys[name], {"fine": True})
        workspace.progress.update("trying models", done, len(new))


def examined(path: str) -> bool:
    """Try one model; runs in a worker process, which tries it in a process of its own."""
    from toolchain.formats.onnx_guard import examine  # noqa: PLC0415 - onnxruntime

    examine(Path(path))
    return True


def _refused(name: ArtifactId, error: Exception) -> InputError:
    hint = getattr(error, "hint", "") or "leave it out of the project, or out of the pipeline"
    return InputError(f"{name}: {error}", hint=hint)


def _is_opened(file: Artifact, opening: Sequence[tuple[Sequence[str], Collection[Kind]]]) -> bool:
    return file.kind in _RUN_BY_A_LIBRARY and any(
        file.kind in kinds and any(fnmatchcase(file.id, glob) for glob in match)
        for match, kinds in opening
    )
