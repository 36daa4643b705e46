"""Runs a project's voice application, as it came or before and after, for a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolchain import accounts, gate, rulebook
from toolchain.emit import check_file
from toolchain.errors import ConfigError
from toolchain.harness import questions
from toolchain.harness import run as harness
from toolchain.harness import scenario as scenarios
from toolchain.harness.beside import beside, beside_both
from toolchain.harness.carrying import Load, carry
from toolchain.harness.conversing import Talk, converse
from toolchain.harness.examining import Application, Likeness
from toolchain.harness.machine import lasting
from toolchain.harness.run import Run
from toolchain.harness.scenario import Conversation, Listening, Scenario, Sessions
from toolchain.harness.subject import spoken_clips, subject
from toolchain.harness.tuning import Home, Tuned, tuned
from toolchain.installing import installed
from toolchain.ir import ArtifactId, Budget, Measure, Report, State, Tuning
from toolchain.ir.measure import USUAL_SCENARIO
from toolchain.quantization.contest import Known
from toolchain.result import damage_named, read_result, require_project
from toolchain.sources.manifest import Project
from toolchain.sources.project import Assembly, open_target, refuse_left_out
from toolchain.sources.tree import SourceFile
from toolchain.voice.pipeline import STAGES, check_table, named
from toolchain.voice.runnable import is_package
from toolchain.workspace import Workspace


@dataclass(frozen=True)
class RunRequest:
    """What the user asked ``vtool run`` for."""

    project: str
    result: Path | None = None
    scenario: str = "single-turn"
    repeats: int | None = None
    audio: Path | None = None
    tuning: Tuning = Tuning.ONCE


def run(request: RunRequest, workspace: Workspace) -> Report:
    """Play the reference clips through the models of a project, or of a result of it.

    Errors:
        ConfigError: no project, no ``[voice]`` table, no such scenario; the answers cannot be
            written where they are to be.
        InputError: ``request.result`` is not a result of ``vtool optimize``, or a file is wrong.
        ToolError: a stage failed.
    """
    scenario = _repeated(scenarios.load(request.scenario, Path(request.project)), request)
    if request.audio is not None:
        check_file(request.audio / "answer.wav", makes_folders=True)
    project, files, voice = application(request.project, request.result, workspace)
    where = Path(request.project)
    budgets = rulebook.budgets(project.budgets, where, request.scenario)
    if request.scenario != USUAL_SCENARIO:  # its budgets hold wherever they are measured
        budgets = (*budgets, *rulebook.budgets(project.budgets, where))
    opened = _tuned(files, voice, scenario, request.tuning, workspace)
    stand = _Stand(opened.files, opened.voice, budgets, workspace, request.audio)
    done = stand.played(scenario)
    more = stand.beside(done, scenario, where)
    found = (*done.measures, *more.measures)
    alone = [b for b in budgets if not b.measure.endswith(harness.COMPARED)]
    asked = [b for b in alone if not b.measure.startswith(accounts.CODE_MEASURES)]
    if request.scenario != USUAL_SCENARIO:
        names = {m.name for m in found}
        own = [b for b in asked if b.scenario == request.scenario]
        asked = own + [b for b in asked if b not in own and b.measure in names]
    return replace(
        accounts.empty_report(project.name),
        measures=found,
        verdicts=gate.judge(found, asked),
        turns=_turns({"": done}) if isinstance(done, Run) else (),
        notes=(*done.notes, *more.notes),
        sessions=opened.rows,
    )


def application(
    target: str, result: Path | None, workspace: Workspace
) -> tuple[Project, dict[str, Path], Mapping[str, Any]]:
    """Return a project, its files by id, and its ``[voice]`` table; those of ``result`` if given.

    Errors:
        ConfigError: no project, or no ``[voice]`` table.
        InputError: ``result`` is not a whole result of ``vtool optimize``, or one of its models is
            damaged.
    """
    require_project(target)
    assembly = open_target(target, workspace.progress)
    project = assembly.project
    if project is None or not project.voice:
        raise ConfigError(
            f"{target} has no [voice] table in vtool.toml",
            hint="the harness needs to know which models listen, understand, answer and speak",
        )
    files = _paths({**assembly.tree.files, **assembly.reference.files})
    voice: Mapping[str, Any] = project.voice
    check_voice(assembly)
    if result is not None:
        made = read_result(result)
        files |= made.files
        voice = _renamed(voice, made.renamed)
    return project, _installed(files, voice, workspace), voice


def check_voice(assembly: Assembly) -> None:
    """Check a project's ``[voice]`` table, before anything is installed or rewritten for it.

    Errors:
        ConfigError: it is wrong, or names an own file that is none of the project's sources.
    """
    project = assembly.project
    assert project is not None  # noqa: S101 - for the type checker
    check_table(project.voice)
    files = assembly.tree.files.keys() | assembly.reference.files.keys()
    refuse_left_out(project, files, named(project.voice))


def _installed(
    files: Mapping[str, Path], voice: Mapping[str, Any], workspace: Workspace
) -> dict[str, Path]:
    """Return ``files`` with the packages that ``voice`` names as the models that run best here."""
    named = {n for stage in STAGES for n in voice.get(stage, {}).values() if isinstance(n, str)}
    packages = [n for n in sorted(named & files.keys()) if is_package(files[n])]
    ready = dict(files)
    for number, name in enumerate(packages):
        workspace.progress.update(f"installing {name}", number, len(packages))
        with damage_named(name):
            ready[name] = installed(files[name], workspace.root, _HERE)
    return ready


def _tuned(
    files: Mapping[str, Path],
    voice: Mapping[str, Any],
    scenario: Listening,
    tuning: Tuning,
    workspace: Workspace,
) -> Tuned:
    """Return the application whose models are opened as is best on this machine."""
    if tuning is Tuning.OFF:
        return Tuned(files, voice, ())
    cache = workspace.root
    played, _ = subject(files, voice, scenario, cache, (workspace.progress, ""))
    clip = spoken_clips(played, cache)[0]
    home = Home(Known(workspace.cache, lasting()), cache)
    return tuned(played, clip, home, again=tuning is Tuning.AGAIN)


_HERE = "native-cpu"  # the target that the harness is


@dataclass(frozen=True)
class _Stand:
    """What is played, and what the figures are judged by."""

    files: Mapping[str, Path]
    voice: Mapping[str, Any]
    budgets: Sequence[Budget]
    workspace: Workspace
    audio: Path | None = None

    def played(self, scenario: Listening) -> Run | Talk | Load:
        """Play what the scenario says."""
        cache, progress = self.workspace.root, self.workspace.progress
        if isinstance(scenario, Conversation):
            return converse(self.files, self.voice, scenario, cache=cache, progress=progress)
        if isinstance(scenario, Sessions):
            return carry(self.files, self.voice, scenario, cache=cache, progress=progress)
        assert isinstance(scenario, Scenario)  # noqa: S101 - there are no other kinds
        return harness.measure(
            self.files,
            self.voice,
            scenario,
            cache=cache,
            progress=progress,
            audio_out=_new_folder(self.audio),
            undecided=_undecided(self.budgets),
        )

    def beside(self, done: Run | Talk | Load, scenario: Listening, project: Path) -> Likeness:
        """Measure what is beside the turns, where turns are played that stand alone."""
        if not isinstance(done, Run):
            return Likeness(())
        return beside(
            Application(self.files, self.voice),
            (done.clips, questions.read(project)),
            scenario,
            cache=self.workspace.root,
            progress=self.workspace.progress,
        )


def _undecided(budgets: Sequence[Budget]) -> Callable[[Sequence[Measure]], set[str]]:
    """Return what names the measures of ``budgets`` that need more samples."""

    def undecided(measures: Sequence[Measure]) -> set[str]:
        verdicts = gate.judge(measures, budgets)
        return {v.budget.measure for v in verdicts if v.state is State.INCONCLUSIVE}

    return undecided


def _repeated(scenario: Listening, request: RunRequest) -> Listening:
    """Return ``scenario`` with what the command line asks for.

    Errors:
        ConfigError: repeats or audio are asked for where there are none.
    """
    if isinstance(scenario, Scenario):
        return scenario.repeated(request.repeats)
    if request.repeats is not None or request.audio is not None:
        raise ConfigError(
            f"the scenario {request.scenario} has no repeats and keeps no answers",
            hint="leave --repeats and --audio out, or play single-turn",
        )
    return scenario


@dataclass(frozen=True)
class Output:
    """A result as it lies on disk, perhaps not yet in its place."""

    folder: Path
    paths: Mapping[ArtifactId, Path]
    renames: Mapping[ArtifactId, ArtifactId]


def before_and_after(  # noqa: PLR0913 - keyword arguments, each a thing of its own
    report: Report,
    assembly: Assembly,
    output: Output,
    scenario: Scenario,
    workspace: Workspace,
    *,
    tuning: Tuning = Tuning.ONCE,
) -> Report:
    """Run the unoptimized and the optimized application, and add what was measured."""
    project = assembly.project
    assert project is not None  # noqa: S101 - for the type checker; optimize() refused it
    reference = _paths(assembly.reference.files)
    audio = output.folder / "answers"
    audio.mkdir()
    asked = questions.read(project.folder)  # a wrong file is found before minutes have passed
    came = Application({**_paths(assembly.tree.files), **reference}, project.voice, "before")
    before = harness.measure(
        came.files,
        came.voice,
        scenario.baseline,
        cache=workspace.root,
        progress=workspace.progress,
        label="before",
    )
    voice = _renamed(project.voice, output.renames)
    shipped = {str(i): p for i, p in output.paths.items()}
    files = {**_installed(shipped, voice, workspace), **reference}
    opened = _tuned(files, voice, scenario, tuning, workspace)
    ships = Application(opened.files, opened.voice, "after")
    after = harness.measure(
        ships.files,
        ships.voice,
        scenario,
        cache=workspace.root,
        progress=workspace.progress,
        reference=before,
        label="after",
        audio_out=audio,
        undecided=_undecided(rulebook.budgets(project.budgets, project.folder)),
    )
    like = beside_both(
        (came, ships),
        (before.clips, asked),
        scenario,
        cache=workspace.root,
        progress=workspace.progress,
    )
    compared = (*harness.compare(before, after), *like.measures)
    return replace(
        report,
        measures=(*report.measures, *after.measures, *compared),
        baseline=(*report.baseline, *before.measures, *like.baseline),
        turns=_turns({"before": before, "after": after}),
        notes=(*report.notes, *dict.fromkeys((*before.notes, *after.notes, *like.notes))),
        sessions=opened.rows,
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


def scenario_of(name: str, repeats: int | None, project: str) -> Scenario:
    """Return the scenario ``name``, with ``repeats`` instead of its own where that is given.

    Errors:
        ConfigError: there is none, or it does not play turns before and after.
    """
    scenario = scenarios.load(name, Path(project))
    if not isinstance(scenario, Scenario):
        raise ConfigError(
            f"the scenario {name} is not played before and after",
            hint=f"optimize with single-turn, then `vtool run --scenario {name} --result OUT`",
        )
    return scenario.repeated(repeats)


def _paths(files: Mapping[str, SourceFile]) -> dict[str, Path]:
    return {name: file.path for name, file in files.items()}


def _renamed(table: Any, names: Mapping[ArtifactId, ArtifactId]) -> Any:  # noqa: ANN401 - a TOML table
    """Return ``table`` with every string that is an id of the input as the id it has now."""
    if isinstance(table, Mapping):
        return {key: _renamed(value, names) for key, value in table.items()}
    if isinstance(table, list | tuple):
        return [_renamed(value, names) for value in table]
    return names.get(table, table) if isinstance(table, str) else table  # type: ignore[call-overload]  # an id is a str


def _new_folder(folder: Path | None) -> Path | None:
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be a folder for audio: {error.strerror}", hint="choose another"
            ) from error
    return folder
