"""Measures how many users at once an application carries on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolchain.harness.child import Carried
from toolchain.harness.machine import machine as this_machine
from toolchain.harness.scenario import Sessions
from toolchain.harness.sessions import Step, most
from toolchain.harness.subject import Figure, measures, spoken_clips, subject
from toolchain.ir import Machine, Measure
from toolchain.progress import SILENT, Progress
from toolchain.tables import check


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured of users at once."""

    measures: tuple[Measure, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def carry(  # noqa: PLR0913 - keyword arguments, each a thing of its own
    files: Mapping[str, Path],
    voice: Mapping[str, Any],
    scenario: Sessions,
    *,
    cache: Path,
    machine: Machine | None = None,
    progress: Progress = SILENT,
) -> Load:
    """Let more and more users ask an application at once; see ``harness.sessions``.

    Measures:
        sessions.carried (count, one): the most users for whom the limit held
        sessions.first_audio (ms, one a question): what they saw
        sessions.late (ms, one a frame): how late the sender delivered to them
        memory.peak (byte, one): with the most users that were tried

    Errors:
        see ``run.measure``
    """
    asked, notes = subject(files, voice, scenario, cache, (progress, ""))
    clips = spoken_clips(asked, cache)
    said = asked.ask({"job": "carry", "clips": [asdict(clip) for clip in clips]})
    seen = check(said, Carried, where="the voice application")
    carried = most(seen.steps, scenario.limit_ms)
    best = next((s for s in seen.steps if s.sessions == carried), seen.steps[0])
    found: list[Figure] = [
        ("sessions.carried", "count", [carried]),
        ("sessions.first_audio", "ms", best.first_audio_ms),
        ("sessions.late", "ms", best.late_ms),
        ("memory.peak", "byte", [] if seen.memory.peak is None else [seen.memory.peak]),
    ]
    told = [_step_told(step) for step in seen.steps]
    return Load(measures(found, machine or this_machine()), seen.steps, (*notes, *told))


def _step_told(step: Step) -> str:
    late = max(step.late_ms, default=0.0)
    lost = f", {step.unanswered} unanswered" if step.unanswered else ""
    why = f" ({step.errors[0]})" if step.errors else ""
    return (
        f"{step.sessions} at once: first audio p95 {step.p95_ms:.0f} ms of "
        f"{len(step.first_audio_ms)} questions{lost}{why}; sent at most {late:.0f} ms late"
    )
