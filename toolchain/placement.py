"""Chooses for every package the format in which it runs best on each target, by measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolchain.ir import ModelSearch
from toolchain.pipeline import Result
from toolchain.sources.project import Project
from toolchain.workspace import Workspace


def check(project: Project) -> None:
    """Refuse a target that does not exist, before any work.

    Errors:
        ConfigError: ``rules/targets`` has no such file, or it is wrong.
    """
    if project.targets:
        from toolchain.quantization import targets  # noqa: PLC0415 - onnx: only where used

        for name in project.targets:
            targets.load(name, project.folder)


def placed(result: Result, project: Project, workspace: Workspace) -> tuple[ModelSearch, ...]:
    """Return the searches of ``result`` with what was measured on each target of ``project``."""
    del project, workspace
    return result.searches


def formats(models: Sequence[ModelSearch]) -> dict[str, Mapping[str, str]]:
    """Return the chosen format of each package, by target."""
    return {
        model.artifact: {one.target: one.format for one in model.executions if one.chosen}
        for model in models
        if model.executions
    }
