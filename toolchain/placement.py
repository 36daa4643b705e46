"""Chooses for every package the format in which it runs best on each target, by measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolchain.ir import ModelSearch
from toolchain.pipeline import Result
from toolchain.sources.project import Project
from toolchain.workspace import Workspace


def placed(result: Result, targets: Sequence[str], workspace: Workspace) -> tuple[ModelSearch, ...]:
    """Return the searches of ``result`` with what was measured on each of ``targets``."""
    del targets, workspace
    return result.searches


def formats(models: Sequence[ModelSearch]) -> dict[str, Mapping[str, str]]:
    """Return the chosen format of each package, by target."""
    return {
        model.artifact: {one.target: one.format for one in model.executions if one.chosen}
        for model in models
        if model.executions
    }
