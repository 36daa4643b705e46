"""The run-time half of a profile: start, memory, latency, worker overhead, timelines, operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from toolchain.errors import ToolError
from toolchain.harness import run as harness
from toolchain.harness.examining import Application
from toolchain.harness.rounds import Result
from toolchain.harness.scenario import APART, Scenario
from toolchain.harness.subject import Subject, spoken_clips, subject
from toolchain.harness.turn import Clip
from toolchain.ir import Measure
from toolchain.ir.profile import MemoryUsage, PipelineLatency, RuntimeProfile
from toolchain.ir.timeline import Timeline
from toolchain.profiling import operators
from toolchain.tables import check
from toolchain.voice.pipeline import STAGES
from toolchain.workspace import Workspace

_TURNS = 3  # recorded of each clip; the one in the middle is shown. Ours

_LATENCY = ("vad.frame", "stt.time", "llm.first_token", "tts.first_chunk", "turn.first_audio")
_MEMORY = ("memory.start", "memory.peak", "memory.after_gc")


def profiled(
    application: Application, scenario: Scenario, workspace: Workspace
) -> tuple[RuntimeProfile, tuple[str, ...]]:
    """Return the run-time profile, and notes on what it took.

    Errors:
        ConfigError, InputError, ToolError: see ``harness.measure``.
    """
    files, voice = application.files, application.voice
    cache, progress = workspace.root, workspace.progress
    done = harness.measure(files, voice, scenario, cache=cache, progress=progress)
    alone, _ = subject(files, voice, scenario, cache, (progress, ""))
    clips = spoken_clips(alone, cache)
    measured = {m.name: replace(m, machine=None) for m in done.measures}
    found = RuntimeProfile(
        initialization_time=_needed(measured, "init.warm"),
        memory_usage=_memory(measured),
        pipeline_latency=PipelineLatency(*(_needed(measured, name) for name in _LATENCY)),
        worker_overhead=overhead(alone, scenario, clips),
        others=tuple(m for m in measured.values() if m.name not in _named()),
        timelines=recorded(alone, clips),
        models=operators.watched(alone, clips),
    )
    return found, done.notes


def overhead(subject: Subject, scenario: Scenario, clips: tuple[Clip, ...]) -> dict[str, Measure]:
    """Return what asking a stage in a process of its own costs beyond its work, in ms a call.

    Errors:
        ToolError: a stage failed, or its process died.
    """
    apart = replace(subject, scenario=replace(scenario.repeated(1), placement=APART))
    request = {"job": "run", "clips": [asdict(clip) for clip in clips], "audio_out": None}
    result = check(apart.ask({**request, "answers": {}}), Result, where="the voice application")
    return {s: Measure(f"worker.{s}", "ms", calls) for s, calls in result.overhead.items() if calls}


def recorded(subject: Subject, clips: tuple[Clip, ...]) -> tuple[Timeline, ...]:
    """Return one turn of each clip as it went: of several the one with the median first audio.

    Errors:
        ToolError: a stage failed.
    """
    said = [asdict(clip) for clip in clips]
    found = subject.ask({"job": "trace", "clips": said, "turns": _TURNS})
    return check(found, tuple[Timeline, ...], where="the voice application")


def _named() -> set[str]:
    return {"init.warm", *_MEMORY, *_LATENCY, *(f"memory.{stage}" for stage in STAGES)}


def _memory(measured: Mapping[str, Measure]) -> MemoryUsage:
    return MemoryUsage(
        initial=_needed(measured, "memory.start"),
        peak=measured.get("memory.peak"),
        after_gc=_needed(measured, "memory.after_gc"),
        stages={s: m for s in STAGES if (m := measured.get(f"memory.{s}")) is not None},
    )


def _needed(measured: Mapping[str, Measure], name: str) -> Measure:
    if name not in measured:
        raise ToolError(
            f"the harness did not measure {name}", hint="does the scenario play any turn?"
        )
    return measured[name]
