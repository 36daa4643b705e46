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
from toolchain.entries import entries
from toolchain.errors import ConfigError, InputError
from toolchain.execution.cache import action_key, source_digest
from toolchain.formats import compression
from toolchain.harness import machine as machines
from toolchain.harness import run as harness
from toolchain.harness import scenario as scenarios
from toolchain.harness.run import Run
from toolchain.ir import ArtifactId, Finding, Graph, Report, Sizes, Stage
from toolchain.loader import Loaded, Loader, Reading
from toolchain.pipeline import Pipeline
from toolchain.sources.project import Assembly, open_target
from toolchain.sources.tree import SourceFile
from toolchain.tables import check, dump
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
    project = assembly.project
    loaded = _loader(workspace).load(
        files,
        assembly.roots or entries(files),
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
            hint="`vtool analyze` reads any target; `optimize` needs a project",
        )
    steps = rulebook.pipeline(project.pipeline, where)
    budgets = rulebook.budgets(project.budgets, where)
    rulebook.require_quality(steps, budgets)
    runner = Pipeline(workspace.store, workspace.cache, workspace.executor, workspace.progress)
    result = runner.run(loaded.graph, steps)
    report = replace(
        _report(project.name, loaded, _findings(loaded, workspace)),
        ledger=result.ledger,
        baseline=accounts.code_measures(loaded.graph, _sizes(loaded.readings)),
    )
    report = _with_output(report, result.graph, workspace)
    with staging(request.out) as folder:
        paths = write(result.graph, workspace.store, folder, result.renames)
        if request.harness and project.voice:
            report = _with_harness(
                report, request, assembly, _Output(folder, paths, result.renames), workspace
            )
        report = replace(report, verdicts=gate.judge(report.measures, budgets))
        finish(report, folder)
    return report


def why(target: str, artifact: str, workspace: Workspace) -> Why:
    """Return why ``artifact`` (an id, or the unambiguous end of one) is in ``target``."""
    _, loaded = load(target, workspace)
    ends = [i for i in loaded.graph.artifacts if i.endswith(f"/{artifact}")]
    exact = ArtifactId(artifact) in loaded.graph.artifacts
    name = ends[0] if len(ends) == 1 and not exact else ArtifactId(artifact)
    return explain(loaded.graph, name)


@dataclass(frozen=True)
class RunRequest:
    """What the user asked ``vtool run`` for."""

    project: str
    result: Path | None = None
    scenario: str = "single-turn"
    repeats: int | None = None
    audio: Path | None = None


def run(request: RunRequest, workspace: Workspace) -> Report:
    """Play the reference clips through the models of a project, or of a result of it."""
    assembly = open_target(request.project, workspace.progress)
    project = assembly.project
    if project is None or not project.voice:
        raise ConfigError(
            f"{request.project} has no [voice] table in vtool.toml",
            hint="the harness needs to know which models listen, understand, answer and speak",
        )
    files = _paths({**assembly.tree.files, **assembly.reference.files})
    voice: Mapping[str, Any] = project.voice
    if request.result is not None:
        manifest = _manifest(request.result)
        files |= {row["id"]: request.result / row["id"] for row in manifest["files"]}
        voice = _renamed(voice, manifest["renamed"])
    done = harness.measure(
        files,
        voice,
        _scenario(request.scenario, request.repeats, request.project),
        cache=workspace.root,
        progress=workspace.progress,
        audio_out=request.audio,
    )
    budgets = rulebook.budgets(project.budgets, Path(request.project))
    measured = {m.name for m in done.measures}
    asked = [b for b in budgets if b.measure in measured]  # bytes are not this command's business
    return replace(
        _empty(project.name),
        measures=done.measures,
        verdicts=gate.judge(done.measures, asked),
        turns=_turns({"": done}),
        notes=done.notes,
    )


@dataclass(frozen=True)
class _Output:
    """The result as it lies in the staging folder."""

    folder: Path
    paths: Mapping[ArtifactId, Path]
    renames: Mapping[ArtifactId, ArtifactId]


def _with_harness(
    report: Report,
    request: Request,
    assembly: Assembly,
    output: _Output,
    workspace: Workspace,
) -> Report:
    """Run the unoptimized and the optimized application, and add what was measured."""
    project = assembly.project
    assert project is not None  # noqa: S101 - for the type checker; optimize() refused it
    scenario = _scenario(request.scenario, request.repeats, request.project)
    reference = _paths(assembly.reference.files)
    audio = output.folder / "answers"
    audio.mkdir()
    before = harness.measure(
        {**_paths(assembly.tree.files), **reference},
        project.voice,
        scenario,
        cache=workspace.root,
        progress=workspace.progress,
        label="before",
    )
    after = harness.measure(
        {**{str(i): p for i, p in output.paths.items()}, **reference},
        _renamed(project.voice, output.renames),
        scenario,
        cache=workspace.root,
        progress=workspace.progress,
        reference=before,
        label="after",
        audio_out=audio,
    )
    return replace(
        report,
        measures=(*report.measures, *after.measures, *harness.compare(before, after)),
        baseline=(*report.baseline, *before.measures),
        turns=_turns({"before": before, "after": after}),
        notes=(*report.notes, *dict.fromkeys((*before.notes, *after.notes))),
    )


def _turns(runs: Mapping[str, Run]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Return what was said and answered in the first repeat of every clip, run beside run."""
    shown: dict[str, list[tuple[str, str]]] = {}
    for label, run_ in runs.items():
        for turn in (t for t in run_.turns if t.repeat == 0):
            facts = [(f"{name} {label}".strip(), text) for name, text in turn.facts() if text]
            shown.setdefault(turn.clip, []).extend(facts)
    return tuple((clip, _ordered(facts)) for clip, facts in shown.items())


def _ordered(facts: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return ``facts`` with the same fact of all runs beside each other, each said once."""
    kinds = [name.removesuffix(" before").removesuffix(" after") for name, _ in facts]
    order = sorted(range(len(facts)), key=lambda n: (kinds.index(kinds[n]), n))
    merged: dict[tuple[str, str], str] = {}
    for n in order:
        name, text = facts[n]
        same = kinds[n] == "said"
        merged[(kinds[n] if same else name), text] = text
    return tuple((name, text) for name, text in merged)


def _empty(target: str) -> Report:
    return Report(
        target=target,
        version=__version__,
        machine=machines.machine(),
        codecs=compression.level_names(),
        files=(),
        artifacts=(),
        totals=(),
        relations=(),
    )


def _report(target: str, loaded: Loaded, findings: tuple[Finding, ...]) -> Report:
    """Return the report of a graph as it came in."""
    files = accounts.file_rows(Stage.INPUT, loaded.graph, loaded.readings)
    return replace(
        _empty(target),
        files=tuple(files),
        artifacts=tuple(accounts.artifact_rows(Stage.INPUT, loaded.graph, loaded.readings)),
        totals=((Stage.INPUT, accounts.total(files)),),
        relations=accounts.relations(loaded.graph),
        findings=findings,
    )


def _with_output(report: Report, graph: Graph, workspace: Workspace) -> Report:
    """Return ``report`` with the rows of what the pipeline made, read like any input."""
    files = {
        str(name): SourceFile(workspace.store.path(a.digest), a.digest, a.size)
        for name, a in graph.files.items()
    }
    readings = _loader(workspace).load(files, ()).readings
    rows = accounts.file_rows(Stage.OUTPUT, graph, readings)
    return replace(
        report,
        files=(*report.files, *rows),
        artifacts=(*report.artifacts, *accounts.artifact_rows(Stage.OUTPUT, graph, readings)),
        totals=(*report.totals, (Stage.OUTPUT, accounts.total(rows))),
        measures=accounts.code_measures(graph, _sizes(readings)),
    )


def _findings(loaded: Loaded, workspace: Workspace) -> tuple[Finding, ...]:
    """Run all checks, or take what they found in the same graph from the cache."""
    graph = loaded.graph.without_parts()
    names = plugins.names("checks")
    code = [source_digest(plugins.find("checks", n).__name__) for n in names]
    everything = sorted((i, a.digest) for i, a in graph.artifacts.items())
    edges = sorted((e.source, e.target, e.relation) for e in graph.edges)
    key = action_key("checks", names, code, everything, edges, sorted(graph.roots))
    cached = workspace.cache.get(key)
    if cached is not None:
        found = check(cached, tuple[Finding, ...], where="the cache")
    else:
        found = tuple(
            finding
            for name in names
            for finding in plugins.find("checks", name).check(graph, workspace.store)
        )
        workspace.cache.put(key, dump(found))
    return (*accounts.reading_findings(loaded), *found)


def _sizes(readings: Mapping[ArtifactId, Reading]) -> dict[ArtifactId, Sizes]:
    return {name: reading.sizes for name, reading in readings.items()}


def _loader(workspace: Workspace) -> Loader:
    return Loader(workspace.store, workspace.cache, workspace.executor, workspace.progress)


def _scenario(name: str, repeats: int | None, project: str) -> scenarios.Scenario:
    scenario = scenarios.load(name, Path(project))
    return scenario if repeats is None else replace(scenario, repeats=repeats)


def _paths(files: Mapping[str, SourceFile]) -> dict[str, Path]:
    return {name: file.path for name, file in files.items()}


def _renamed(table: Any, names: Mapping[ArtifactId, ArtifactId]) -> Any:  # noqa: ANN401 - a TOML table
    """Return ``table`` with every string that is an id of the input as the id it has now."""
    if isinstance(table, Mapping):
        return {key: _renamed(value, names) for key, value in table.items()}
    if isinstance(table, list | tuple):
        return [_renamed(value, names) for value in table]
    return names.get(table, table) if isinstance(table, str) else table  # type: ignore[call-overload]  # an id is a str


def _manifest(folder: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not a result of `vtool optimize`", hint=f"it has no readable {MANIFEST}"
        ) from error
