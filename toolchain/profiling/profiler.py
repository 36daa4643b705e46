"""The main job of ``vtool profile``: what is there, how it runs, what would make it better."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from toolchain import __version__, accounts, build, rulebook, trial
from toolchain.errors import ConfigError
from toolchain.harness.examining import Application
from toolchain.harness.machine import machine
from toolchain.harness.subject import spoken_clips, subject
from toolchain.ir.profile import BundleAnalysis, Profile
from toolchain.ir.recommendation import Effect, Tried
from toolchain.loader import Loaded
from toolchain.profiling import bundle, changes, runtime, trials
from toolchain.profiling.changes import Change, of_result
from toolchain.profiling.later import later
from toolchain.progress import SILENT
from toolchain.sources.address import is_address
from toolchain.sources.project import Assembly, Project
from toolchain.workspace import Workspace

_SCENARIO = "single-turn"


@dataclass(frozen=True)
class ProfileRequest:
    """What the user asked ``vtool profile`` for."""

    target: str
    result: Path | None = None  # profile this result of `vtool optimize`
    other: Path | None = None  # try this result as a change
    repeats: int = 3
    trials_s: float = 120.0  # for all trials together; 0: none


def profile(request: ProfileRequest, workspace: Workspace) -> Profile:
    """Analyze the bundle, run the application, and try what might make it better.

    A target without a ``[voice]`` table has only the first half; one without code or packages
    has only the second.

    Errors:
        ConfigError: the request contradicts itself.
        ConfigError, InputError, ToolError: see ``build.load``, ``trial.application``, the harness.
    """
    _check(request)
    on = machine()
    assembly, loaded = build.load(request.target, workspace)
    analysis = bundle.analyzed(assembly, loaded, workspace) if _has_code(loaded) else None
    found = Profile(_name(request.target, assembly), __version__, on, analysis)
    if analysis is None:
        found = replace(found, notes=("no bundle analysis: there is no code and no package",))
    project = assembly.project
    fewer = fewer_bytes(request, assembly, analysis)
    if request.result is None:
        fewer += later(assembly, loaded.graph, workspace.store)
    if project is None or not project.voice:
        return replace(
            found,
            tried=fewer,
            recommendations=trials.recommended(fewer),
            notes=(
                *found.notes,
                "no run-time profile: there is no [voice] table that says what is played",
            ),
        )
    _, files, voice = trial.application(request.target, request.result, workspace)
    scenario = trial.scenario_of(_SCENARIO, request.repeats, request.target)
    base = Change("", "", Application(files, voice), scenario)
    run_time, notes = runtime.profiled(base.application, scenario, workspace)
    found = replace(found, runtime_profile=run_time, notes=(*found.notes, *notes))
    tried = (*fewer, *_tried(request, base, workspace))
    return replace(found, tried=tried, recommendations=trials.recommended(tried))


def _check(request: ProfileRequest) -> None:
    if request.result is not None and request.other is not None:
        raise ConfigError(
            "the models of a result are profiled or tried, not both",
            hint="give --result or --try",
        )
    if not math.isfinite(request.trials_s):
        raise ConfigError(
            f"trials of {request.trials_s} seconds never end",
            hint="--trials-seconds takes a number; 0 tries nothing",
        )


def _tried(request: ProfileRequest, base: Change, workspace: Workspace) -> tuple[Tried, ...]:
    """Try what might help the application, in the time there is.

    Another result is tried by itself, in half of the time: all its models are opened beside the
    others, and what it is worth is asked first.
    """
    if not request.trials_s:
        return ()
    settings = list(changes.changes(base.application, base.scenario))
    results = []
    if request.other is not None:
        _, files, voice = trial.application(request.target, request.other, workspace)
        made = Application(files, voice)
        results.append(of_result(made, base.scenario, request.target, request.other))
    one = base.application
    alone, _ = subject(one.files, one.voice, base.scenario, workspace.root, (SILENT, ""))
    clips = spoken_clips(alone, workspace.root)
    sure = trials.sure_beside([*results, *settings])
    groups = [group for group in (results, settings) if group]
    terms = trials.Terms(clips, request.trials_s / len(groups), sure)
    return tuple(one for group in groups for one in trials.tried(base, group, terms, workspace))


def fewer_bytes(
    request: ProfileRequest, assembly: Assembly, found: BundleAnalysis | None
) -> tuple[Tried, ...]:
    """Return what bundling does to the code that entries import, which was measured by doing it."""
    project = assembly.project
    if project is None or request.result is not None or found is None:
        return ()
    steps = {step.run for step in rulebook.pipeline(project.pipeline, project.folder)}
    unreached = sum(one.unused_bytes for one in found.unused_code if not one.imported)
    tried = []
    if unreached:
        size = float(sum(p.size for p in found.packages))
        effect = Effect.exact("all files", "byte", size, size - unreached)
        what = "code that no entry reaches is left out"
        tried.append(Tried(what, _by("drop-unreachable", project, steps), (effect,)))
    if found.installed and found.kept is not None:
        effect = Effect.exact("imported code", "byte", float(found.installed), float(found.kept))
        what = "imported code travels as tree-shaken, minified bundles"
        tried.append(Tried(what, _by("bundle-js", project, steps), (effect,)))
    return tuple(trials.judged(one) for one in tried)


def _by(run: str, project: Project, steps: Collection[str]) -> str:
    """Return what applies a pass: a command, and an edit where the pipeline has no such step."""
    command = f"vtool optimize {project.folder.name} -o OUT"
    if run in steps:
        return command
    return f'in rules/pipelines/{project.pipeline}.toml:\n[[step]]\nrun = "{run}"\n{command}'


def _has_code(loaded: Loaded) -> bool:
    return any(a.kind in accounts.CODE_KINDS for a in loaded.graph.files.values())


def _name(target: str, assembly: Assembly) -> str:
    """Return what to call ``target``: never by a path of this machine."""
    if assembly.project is not None:
        return assembly.project.name
    return target if is_address(target) else Path(target).resolve().name
