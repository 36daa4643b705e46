"""Chooses for every package the format in which it runs best on each target, by measuring."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from toolchain.errors import VtoolError
from toolchain.formats import package_header
from toolchain.ir import LOSSLESS, ArtifactId, Execution, ModelSearch
from toolchain.passes.base import Step, pass_class
from toolchain.pipeline import Questions, Result
from toolchain.sources.manifest import Project
from toolchain.workspace import Workspace

_FEEDS = 8
"""Ours: questions of a task that a contest repeats; its first ones, as they come one after the
other: frames of one recording, a transcript or an answer with its cache."""


def with_formats(steps: Sequence[Step], project: Project) -> tuple[Step, ...]:
    """Return ``steps`` whose results may run in the formats of all targets of ``project``.

    A step that names formats itself keeps them.

    Errors:
        ConfigError: there is no such target.
    """
    if not project.targets:
        return tuple(steps)
    from toolchain.quantization import targets  # noqa: PLC0415 - onnx: only where used

    named = [targets.load(name, project.folder).format for name in project.targets]
    every = dict.fromkeys(form.name for formats in named for form in formats[1:])
    return tuple(
        replace(step, options={"formats": tuple(every), **step.options})
        if any(option.name == "formats" for option in fields(pass_class(step.run)))
        else step
        for step in steps
    )


def placed(result: Result, project: Project, workspace: Workspace) -> tuple[ModelSearch, ...]:
    """Return the searches of ``result`` with what was measured on each target of ``project``.

    Figures are kept in the cache for this machine. A model that does not run on a target, or a
    target whose runtime is not there, is a row that says so.
    """
    if not project.targets:
        return result.searches
    return tuple(
        one
        if one.family == LOSSLESS  # without a task nobody knows what to ask it
        else replace(one, executions=_executions(one, result, project, workspace))
        for one in result.searches
    )


def formats(models: Sequence[ModelSearch]) -> dict[str, Mapping[str, Mapping[str, str]]]:
    """Return the chosen format and setting of each package, by target, for the manifest."""
    return {
        model.artifact: {
            one.target: {"format": one.format, "setting": one.setting}
            for one in model.executions
            if one.chosen
        }
        for model in models
        if model.executions
    }


def _executions(
    search: ModelSearch, result: Result, project: Project, workspace: Workspace
) -> tuple[Execution, ...]:
    # onnx, onnxruntime and the tasks: only where something is measured
    from toolchain.formats.materializer import materialize  # noqa: PLC0415
    from toolchain.harness.machine import lasting  # noqa: PLC0415
    from toolchain.quantization import targets  # noqa: PLC0415
    from toolchain.quantization.choosing import choose  # noqa: PLC0415
    from toolchain.quantization.contest import Contest, Known  # noqa: PLC0415

    package = workspace.store.get(result.graph.artifacts[ArtifactId(search.artifact)].digest)
    allowed = package_header.read(package).header.formats
    model = materialize(package)
    feeds = _feeds(model, result.questions[search.artifact])
    known = Known(workspace.cache, lasting())
    rows: list[Execution] = []
    for name in project.targets:
        contest = Contest(targets.load(name, project.folder), feeds, known, workspace.progress)
        try:
            rows += choose(model, contest, formats=allowed).rows
        except VtoolError as error:
            rows.append(Execution(name, "folded", why=str(error)))
    return tuple(rows)


class _EnoughError(Exception):
    """Enough was heard: the asking may end."""


def _feeds(model: bytes, questions: Questions) -> list[dict[str, Any]]:
    """Return what the task asks first; inputs that only the instrumented model has are left out."""
    from toolchain.formats.onnx_runner import Watched, open_runner  # noqa: PLC0415
    from toolchain.tasks.base import Split, make_task  # noqa: PLC0415

    task = make_task(questions.task, questions.files)
    heard: list[Mapping[str, Any]] = []

    def listen(feeds: Mapping[str, Any], _: Mapping[str, Any]) -> None:
        heard.append(dict(feeds))
        if len(heard) == _FEEDS:
            raise _EnoughError

    seen = task.instrumented(model)
    runner = open_runner(seen)
    with contextlib.suppress(_EnoughError):
        task.reference(Watched(runner, listen), Split.CALIBRATION)
    plain = runner if seen is model else open_runner(model)
    known = {port.name for port in plain.inputs}
    return [{name: feeds[name] for name in feeds if name in known} for feeds in heard]
