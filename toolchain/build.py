"""The main job as one function: load, check, run passes, emit, run the harness, judge, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolchain import __version__, accounts, gate, plugins, rulebook
from toolchain.analysis.why import Why
from toolchain.analysis.why import why as explain
from toolchain.emit import MANIFEST, check_output, staging, write
from toolchain.errors import ConfigError, InputError
from toolchain.execution.cache import action_key, source_digest
from toolchain.formats import compression
from toolchain.harness import machine as machines
from toolchain.harness import run as harness
from toolchain.harness import scenario as scenarios
from toolchain.ir import ArtifactId, Finding, Graph, Measure, Report, Stage
from toolchain.loader import Loaded, Loader
from toolchain.pipeline import Pipeline, Result
from toolchain.sources.project import Assembly, open_target
from toolchain.sources.tree import SourceFile
from toolchain.tables import check, dump
from toolchain.units import Bytes
from toolchain.workspace import Workspace


@dataclass(frozen=True)
class Request:
    """What the user asked ``vtool optimize`` for."""

    project: str
    out: Path
    harness: bool = True
    repeats: int | None = None
    scenario: str = "single-turn"


def load(target: str, workspace: Workspace) -> tuple[Assembly, Loaded]:
    """Open ``target`` (folder, archive, package, project) and read it into a graph."""
    assembly = open_target(target, workspace.progress)
    files = assembly.tree.files
    if not files:
        raise InputError(
            f"{target} holds no files", hint="name a folder or package with files in it"
        )
    loader = Loader(workspace.store, workspace.cache, workspace.executor, workspace.progress)
    project = assembly.project
    loaded = loader.load(
        files,
        assembly.roots,
        conditions=frozenset(project.conditions) if project else frozenset(),
        dynamic=project.dynamic if project else {},
    )
    return assembly, loaded


def analyze(target: str, workspace: Workspace) -> Report:
    """Return what ``target`` holds, and what is wrong with it; nothing is rewritten or run."""
    _, loaded = load(target, workspace)
    return _report(target, loaded, _findings(loaded, workspace))


def optimize(
    request: Request, workspace: Workspace, finish: Callable[[Report, Path], None]
) -> Report:
    """Do the main job; ``finish`` writes the report into the new folder before it appears.

    Errors:
        ConfigError: no project, an output folder that must not be written, a rule pack that is
        wrong, a lossy pass without a budget.
        InputError: a file that is not what it should be, an import that does not resolve.
    """
    where = Path(request.project)
    check_output(request.out, where if where.is_dir() else None)
    assembly, loaded = load(request.project, workspace)
    project = assembly.project
    if project is None:
        raise ConfigError(
            f"{request.project} has no vtool.toml",
            hint="`vtool analyze` reads any target; `optimize` needs a project that says what to do",
        )
    steps = rulebook.pipeline(project.pipeline, where)
    budgets = rulebook.budgets(project.budgets, where)
    rulebook.require_quality(steps, budgets)
    runner = Pipeline(workspace.store, workspace.cache, workspace.executor, workspace.progress)
    result = runner.run(loaded.graph, steps)
    output = _reload(result.graph, workspace)
    report = replace(
        _report(project.name, loaded, _findings(loaded, workspace)), ledger=result.ledger
    )
    report = _with_output(report, result.graph, output)
    report = replace(
        report,
        measures=_code_measures(result.graph, _sizes_as_shipped(result.graph, output)),
        baseline=_code_measures(loaded.graph, {i: r.sizes for i, r in loaded.readings.items()}),
    )
    with staging(request.out) as folder:
        paths = write(result.graph, workspace.store, folder, result.renames)
        if request.harness and project.voice:
            report = _with_harness(report, request, assembly, (paths, result), folder)
        report = replace(report, verdicts=gate.judge(report.measures, budgets))
        finish(report, folder)
    return report
