"""Makes the two sides of ``vtool bench`` out of projects and results of ``vtool optimize``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolchain import trial
from toolchain.emit import MANIFEST
from toolchain.errors import ConfigError
from toolchain.harness.bench import Comparison, Plan, Side, compare
from toolchain.harness.instructions import COUNTED, Counts, counted, tools
from toolchain.harness.process import COMMAND
from toolchain.harness.self_test import KNOWN_WORK, SelfTest, Workload, self_test
from toolchain.harness.subject import Subject, spoken_clips, subject
from toolchain.harness.turn import Clip
from toolchain.ir import digest_of
from toolchain.result import require_side
from toolchain.voice.engine import located
from toolchain.voice.pipeline import check_table
from toolchain.workspace import Workspace

_UNIT_STAGES = ("vad", "stt", "tts")
"""Of a unit of the self-test on a project: 0.05 s on the reference application. Eight tokens of its
language model would make it five times as much, and each round opens it anew."""


@dataclass(frozen=True)
class BenchRequest:
    """Which two applications are compared; each a project or a result of one."""

    baseline: str
    candidate: str
    scenario: str = "single-turn"
    project: str | None = None  # whose results they are, where neither is a project


def bench(request: BenchRequest, plan: Plan, workspace: Workspace) -> Comparison:
    """Play the same clips through both applications, and judge the CPU time.

    Errors:
        ConfigError: no project, other clips, no scenario of single turns.
        InputError: a result or a model cannot be read.
        ToolError: an application failed, died or hung.
    """
    baseline, candidate, notes = sides(request, workspace)
    found = compare(baseline, candidate, plan, progress=workspace.progress)
    return replace(found, notes=(*notes, *_other_answers(found)))


def instructions(request: BenchRequest, workspace: Workspace) -> tuple[Counts, Counts]:
    """Count the instructions of one pass of the first clip through both applications.

    Errors:
        as of ``bench``; UnavailableError: there is no valgrind.
    """
    tools()  # before minutes of work
    found = []
    for one, label, clips in _both(request, workspace)[0]:
        side = _passes(label, one, clips, COUNTED)
        found.append(counted(side, clips[0].name, progress=workspace.progress))
    return found[0], found[1]


def check_clock(
    project: str | None, windows: int, neighbours: int, plan: Plan, workspace: Workspace
) -> SelfTest:
    """Run the self-test, on the stages of ``project`` where one is given.

    Errors:
        ConfigError: no project, or numbers that make no sense.
        ToolError: a process died or hung.
    """
    if project is None:
        workload = KNOWN_WORK
    else:
        played, _, clips, _ = _application(project, None, "single-turn", workspace)
        shortest = min(range(len(clips)), key=lambda n: Path(clips[n].path).stat().st_size)

        def side(units: int) -> Side:
            one = _passes(f"{units} passes", played, clips, _UNIT_STAGES)
            asked = {"clip": shortest, "passes": units, "stages": _UNIT_STAGES}
            return replace(one, requests={"passes": asked})

        workload = Workload(f"{', '.join(_UNIT_STAGES)} of {Path(project).name}", side)
    return self_test(windows, neighbours, plan, workload=workload, progress=workspace.progress)


def sides(request: BenchRequest, workspace: Workspace) -> tuple[Side, Side, tuple[str, ...]]:
    """Return both sides, and notes on what made them runnable.

    Errors:
        as of ``bench``
    """
    both, notes = _both(request, workspace)
    baseline, candidate = (_turns(*one) for one in both)
    return baseline, candidate, notes


_Player = tuple[Subject, str, Sequence[Clip]]
"""An application, what it is called, and what it is played."""


def _both(
    request: BenchRequest, workspace: Workspace
) -> tuple[tuple[_Player, _Player], tuple[str, ...]]:
    targets = (request.baseline, request.candidate)
    for target in targets:
        require_side(target)
    projects = [t for t in targets if not _is_result(t)]
    owner = request.project or (projects[0] if projects else None)
    if owner is None:
        raise ConfigError(
            "both are results of `vtool optimize`, which do not say how they are played",
            hint="name their project with --project",
        )
    opened, said, clips, notes = _application(
        *_place(targets[0], owner), request.scenario, workspace
    )
    other, heard, _, more = _application(*_place(targets[1], owner), request.scenario, workspace)
    if said != heard:
        raise ConfigError(
            f"{targets[0]} and {targets[1]} are not played the same clips",
            hint="give both the same clips, transcripts and questions in [voice.audio]",
        )
    first, second = (_label(target) for target in targets)
    return (
        (opened, f"baseline {first}", clips),
        (other, f"candidate {second}", clips),
    ), tuple(dict.fromkeys((*notes, *more)))


def _place(target: str, owner: str) -> tuple[str, Path | None]:
    return (owner, Path(target)) if _is_result(target) else (target, None)


def _is_result(target: str) -> bool:
    return (Path(target) / MANIFEST).is_file()


def _label(target: str) -> str:
    return f"{Path(target).resolve().name}{' (optimized)' if _is_result(target) else ''}"


def _application(
    project: str, result: Path | None, scenario: str, workspace: Workspace
) -> tuple[Subject, Mapping[str, Any], Sequence[Clip], list[str]]:
    """Return an application, what identifies its clips, the clips, and notes."""
    _, files, voice = trial.application(project, result, workspace)
    asked = trial.scenario_of(scenario, None, project)
    label = _label(str(result) if result else project)
    played, notes = subject(files, voice, asked, workspace.root, (workspace.progress, label))
    audio = check_table(voice)
    spoken = [digest_of(located(files, clip).read_bytes()) for clip in audio.clips]
    said = {"clips": spoken, "names": audio.clips, "questions": audio.questions}
    return played, said, spoken_clips(played, workspace.root), notes


def _turns(played: Subject, label: str, clips: Sequence[Clip]) -> Side:
    """Return a side that plays each clip as a turn."""
    opening = played.request({"job": "on request", "clips": [asdict(clip) for clip in clips]})
    requests = {clip.name: {"clip": number} for number, clip in enumerate(clips)}
    return Side(label, COMMAND, opening, requests, played.scenario.timeout_s)


def _passes(label: str, played: Subject, clips: Sequence[Clip], stages: Sequence[str]) -> Side:
    """Return a side that does one pass of a clip through ``stages``; it opens no other."""
    one = _turns(played, label, clips)
    opening = {**one.opening, "job": "passes", "stages": stages}
    asked = {name: {**r, "passes": 1, "stages": stages} for name, r in one.requests.items()}
    return replace(one, opening=opening, requests=asked)


def _other_answers(found: Comparison) -> tuple[str, ...]:
    """Say which clips are answered otherwise: another answer is other work."""
    other = [
        f"{clip} ({before['tokens']} and {after['tokens']} tokens)"
        for clip, (before, after) in found.facts.items()
        if before["answer"] != after["answer"]
    ]
    if not other:
        return ()
    return (f"the answers differ, and with them the work: {', '.join(other)}",)
