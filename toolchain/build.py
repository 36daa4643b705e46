"""The main job as one function: load, check, run passes, emit, run the harness, judge, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import (
    accounts,
    gate,
    modes,
    own_code,
    placement,
    plugins,
    previous,
    rulebook,
    unrunnable,
)
from toolchain.behaviour.baseline import mode_of
from toolchain.behaviour.scenario import play_of
from toolchain.consumers import View, seen_from, without_consumer
from toolchain.emit import check_output, staging, write
from toolchain.entries import entries
from toolchain.errors import ConfigError, InputError
from toolchain.execution.cache import action_key, source_digest
from toolchain.formats.compression import Codec
from toolchain.ir import Artifact, ArtifactId, Digest, Finding, Graph, Report, Stage, Tuning
from toolchain.loader import Loaded, Loader
from toolchain.passes import compress
from toolchain.passes.base import ProfiledPass, Step, pass_class
from toolchain.pipeline import Pipeline, Result
from toolchain.single_model import Wish, as_project, wished
from toolchain.sources.address import is_address
from toolchain.sources.project import Assembly, Project, open_target
from toolchain.sources.tree import SourceFile
from toolchain.tables import check, dump
from toolchain.trust import examine_models
from toolchain.units import Bytes, show_bytes
from toolchain.workspace import Workspace

if TYPE_CHECKING:
    from toolchain.analysis.why import Why


@dataclass(frozen=True)
class Request:
    """What the user asked ``vtool optimize`` for."""

    project: str
    out: Path
    harness: bool = True
    repeats: int | None = None
    scenario: str = "single-turn"
    wish: Wish = field(default_factory=Wish)  # for a model without a project
    tuning: Tuning = Tuning.ONCE
    previous: Path | None = None  # the last release: a result, or its archive
    fast: bool = False  # of candidates that compete only the first: for development


def load(target: str, workspace: Workspace) -> tuple[Assembly, Loaded]:
    """Open ``target`` (folder, archive, package, project) and read it into a graph."""
    assembly = open_target(target, workspace.progress)
    return assembly, _read(target, assembly, workspace)


def _read(
    target: str,
    assembly: Assembly,
    workspace: Workspace,
    *keep: str,
    conditions: Sequence[str] = (),
) -> Loaded:
    """Read an opened target; ``keep`` are globs of files that count like roots' needs."""
    files = assembly.tree.files
    if not files:
        raise InputError(
            f"{target} holds no files", hint="name a folder or package with files in it"
        )
    project = assembly.project
    loaded = _loader(workspace).load(
        files,
        assembly.roots or entries(files),
        conditions=frozenset(conditions or (project.conditions if project else ())),
        dynamic=project.dynamic if project else {},
        starts=(*keep, *(project.keep if project else ())),
    )
    if project is not None:
        graph = replace(loaded.graph, kept=frozenset(project.keep))
        loaded = replace(loaded, graph=graph)
    own_code.refuse_broken(assembly, loaded)
    return loaded


def analyze(target: str, workspace: Workspace, view: View | None = None) -> Report:
    """Return what ``target`` holds, and what is wrong with it; nothing is rewritten or run.

    Errors:
        ConfigError: there is no such target or consumer.
        InputError: it is not what it should be.
    """
    view = view or View()
    assembly = open_target(target, workspace.progress)
    name, has_roots = _name(target, assembly), bool(assembly.roots or view.consumers)
    if view.consumers:
        assembly = seen_from(assembly, target, view.consumers)
    loaded = _read(target, assembly, workspace, conditions=view.conditions)
    report = _report(name, loaded, _findings(loaded, workspace))
    return report if has_roots else replace(report, notes=(without_consumer(loaded.graph),))


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
    release = previous.open_release(request.previous)
    assembly = open_target(request.project, workspace.progress)
    alone = assembly.project is None
    assembly, project, steps = _asked(request, assembly)
    steps = previous.with_deltas(placement.with_formats(steps, project), release, workspace.store)
    budgets = rulebook.budgets(project.budgets, where)
    rulebook.require_quality(steps, budgets)
    play = _player(request, assembly, workspace) if request.harness and project.voice else None
    keep = [g for s in steps for g in s.options.get("keep", ()) if s.run == "drop-unreachable"]
    loaded = _read(request.project, assembly, workspace, *keep)
    examine_models(loaded.graph, steps, workspace)
    pipeline = _pipeline(assembly, workspace)
    result = pipeline.run(loaded.graph, steps)
    result, notes = _no_larger(loaded.graph, result, pipeline) if alone else (result, ())
    travels = _travels(accounts.brotli_siblings(result.graph), workspace)
    models = accounts.with_downloads(
        placement.placed(result, project, workspace), loaded.graph, result.renames, travels
    )
    report = replace(
        _report(project.name, loaded, _findings(loaded, workspace)),
        ledger=result.ledger,
        models=models,
        notes=(*notes, *accounts.style_notes(result.graph)),
    )
    report = _with_output(report, result, steps, workspace)
    report = replace(
        report,
        measures=(
            *accounts.code_measures(_as_loaded(result.graph, steps, workspace), travels),
            *unrunnable.measures(report.findings),
            *accounts.model_measures(models),
        ),
        baseline=accounts.code_measures(_as_loaded(loaded.graph, steps, workspace), travels),
    )
    report = previous.with_update(report, result.graph, release)
    judged = (*budgets, *unrunnable.budgets(report.measures), *accounts.model_budgets(models))
    with staging(request.out) as folder:
        paths = write(
            result.graph, workspace.store, folder, result.renames, placement.formats(models)
        )
        if play is not None:
            report = play(report, folder, paths, result)
        report = replace(report, verdicts=gate.judge(report.measures, judged))
        finish(report, folder)
    return report


def _asked(request: Request, assembly: Assembly) -> tuple[Assembly, Project, tuple[Step, ...]]:
    """Return what to work on and with which steps: a project's, or those of a model alone."""
    if assembly.project is not None:
        project = assembly.project
        steps = rulebook.pipeline(project.pipeline, Path(request.project))
        return assembly, project, _under_conditions(_in_time(request, steps), project)
    assembly, project = as_project(request.project, assembly, request.wish)
    return assembly, project, wished(rulebook.pipeline(project.pipeline), request.wish)


def _in_time(request: Request, steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(map(_first_candidate, steps)) if request.fast else tuple(steps)


def _under_conditions(steps: Iterable[Step], project: Project) -> tuple[Step, ...]:
    """Return ``steps`` that read package.json as the graph of ``project`` was read."""

    def reads(step: Step) -> bool:
        found = pass_class(step.run)
        is_alone = issubclass(found, ProfiledPass)  # it runs programs of its own
        return not is_alone and any(option.name == "conditions" for option in fields(found))

    return tuple(
        replace(s, options={"conditions": project.conditions, **s.options}) if reads(s) else s
        for s in steps
    )


def _first_candidate(step: Step) -> Step:
    """Return ``step`` with the first of its candidates only, where it lets several compete."""
    named = step.options.get("candidates", ())
    return replace(step, options={**step.options, "candidates": named[:1]}) if named else step


def _pipeline(assembly: Assembly, workspace: Workspace) -> Pipeline:
    return Pipeline(
        workspace.store,
        workspace.cache,
        workspace.executor,
        workspace.progress,
        assembly.reference.files,
        play_of(assembly),
    )


def _no_larger(graph: Graph, result: Result, pipeline: Pipeline) -> tuple[Result, tuple[str, ...]]:
    """Return ``result``; the model as it came, and a note, if all steps together made it larger.

    A step that changes the format may be larger, as others often make up for it; in a project it is
    wanted whatever it takes, as something has to run the model.
    """
    grown = result.graph.delivered - graph.delivered
    if grown <= 0:
        return result, ()
    kept = dict.fromkeys(row.step for row in result.ledger if row.kept)
    note = f"left as it came: {', '.join(kept)} made it {show_bytes(Bytes(grown))} larger"
    return pipeline.run(graph, ()), (note,)


def _player(
    request: Request, assembly: Assembly, workspace: Workspace
) -> Callable[[Report, Path, Mapping[ArtifactId, Path], Result], Report]:
    """Return what plays the application before and after; a wrong scenario is refused now."""
    # numpy, onnxruntime and the audio code: only where something is played
    from toolchain import trial  # noqa: PLC0415 - 0.2 s

    scenario = trial.scenario_of(request.scenario, request.repeats, request.project)
    trial.check_voice(assembly)  # before minutes of passes

    def play(
        report: Report, folder: Path, paths: Mapping[ArtifactId, Path], result: Result
    ) -> Report:
        output = trial.Output(folder, paths, result.renames)
        return trial.before_and_after(
            report, assembly, output, scenario, workspace, tuning=request.tuning
        )

    return play


def why(target: str, artifact: str, workspace: Workspace) -> Why:
    """Return why ``artifact`` is in ``target``.

    It is an id, the unambiguous end of one, or the name or folder of a package.

    Errors:
        ConfigError: nothing is called so, or several packages are.
    """
    from toolchain.analysis import why as reasons  # noqa: PLC0415 - networkx: 0.3 s

    _, loaded = load(target, workspace)
    graph = loaded.graph
    ends = [i for i in graph.artifacts if i.endswith(f"/{artifact}")]
    exact = ArtifactId(artifact) in graph.artifacts
    packages = reasons.packages_called(graph, artifact)
    if packages and not exact and not ends:
        if len(packages) > 1:
            raise ConfigError(
                f"{len(packages)} packages are called {artifact!r}",
                hint=f"name the folder of one: {', '.join(packages[:3])}",
            )
        return reasons.why_package(graph, packages[0])
    name = ends[0] if len(ends) == 1 and not exact else ArtifactId(artifact)
    return reasons.why(graph, name)


def _name(target: str, assembly: Assembly) -> str:
    """Return what to call ``target`` in a report: never by a path of this machine."""
    if assembly.project is not None:
        return assembly.project.name
    return target if is_address(target) else Path(target).resolve().name


def _report(target: str, loaded: Loaded, findings: tuple[Finding, ...]) -> Report:
    """Return the report of a graph as it came in."""
    files = accounts.file_rows(Stage.INPUT, loaded.graph, loaded.readings)
    return replace(
        accounts.empty_report(target),
        files=tuple(files),
        artifacts=tuple(accounts.artifact_rows(Stage.INPUT, loaded.graph, loaded.readings)),
        totals=((Stage.INPUT, accounts.total(files)),),
        relations=accounts.relations(loaded.graph),
        findings=findings,
    )


def _as_loaded(graph: Graph, steps: Iterable[Step], workspace: Workspace) -> Graph:
    """Return ``graph`` without the builds that the mode of the bundles does not choose."""
    mode = next((mode_of(s.options) for s in steps if s.run == "bundle-js"), "production")
    return modes.in_mode(graph, workspace.store, mode)


def _with_output(
    report: Report, result: Result, steps: Iterable[Step], workspace: Workspace
) -> Report:
    """Return ``report`` with the rows of what the pipeline made, and what no browser runs of it.

    The result is read like any input.
    """
    graph = result.graph
    files = {
        str(name): SourceFile(workspace.store.path(a.digest), a.digest, a.size)
        for name, a in graph.files.items()
    }
    readings = _loader(workspace).load(files, ()).readings
    rows = accounts.file_rows(Stage.OUTPUT, graph, readings)
    useless = unrunnable.finding(graph, readings, workspace.store, steps, result.ledger)
    return replace(
        report,
        findings=(*useless, *report.findings),
        files=(*report.files, *rows),
        artifacts=(*report.artifacts, *accounts.artifact_rows(Stage.OUTPUT, graph, readings)),
        totals=(*report.totals, (Stage.OUTPUT, accounts.total(rows))),
    )


def _findings(loaded: Loaded, workspace: Workspace) -> tuple[Finding, ...]:
    """Run all checks, or take what they found in the same graph from the cache."""
    graph = loaded.graph.without_parts()
    names = plugins.names("checks")
    code = [source_digest(plugins.find("checks", n).__name__) for n in names]
    everything = sorted((i, a.kind, a.digest) for i, a in graph.artifacts.items())
    edges = sorted((e.source, e.target, e.relation) for e in graph.edges)
    how = (sorted(graph.roots), sorted(graph.conditions), sorted(graph.kept))
    key = action_key("checks", names, code, everything, edges, how)
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


def _travels(shipped: Mapping[Digest, int], workspace: Workspace) -> Callable[[Artifact], int]:
    """Return what tells the brotli size of a file: of its sibling, or of one made like it."""

    def travels(file: Artifact) -> int:
        if file.digest in shipped:
            return shipped[file.digest]
        effort = compress.effort_of(file)
        key = action_key("brotli", source_digest(compress.__name__), file.digest, effort.brotli)
        size = workspace.cache.get(key)
        if size is None:
            made = compress.encode_file(workspace.store.get(file.digest), [Codec.BROTLI], effort)
            size = len(made.get(Codec.BROTLI, b"")) or file.size
            workspace.cache.put(key, size)
        return int(size)

    return travels


def _loader(workspace: Workspace) -> Loader:
    return Loader(workspace.store, workspace.cache, workspace.executor, workspace.progress)
