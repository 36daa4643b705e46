"""Measures a conversation: the latency of each turn, and what it leaves behind in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolchain.harness.child import Talked
from toolchain.harness.conversation import Remark, growth
from toolchain.harness.machine import machine as this_machine
from toolchain.harness.scenario import Conversation
from toolchain.harness.subject import Figure, measures, spoken_clips, subject
from toolchain.ir import Machine, Measure
from toolchain.progress import SILENT, Progress
from toolchain.tables import check


@dataclass(frozen=True, slots=True)
class Talk:
    """What was measured of a conversation."""

    measures: tuple[Measure, ...]
    remarks: tuple[Remark, ...]
    notes: tuple[str, ...]


def converse(  # noqa: PLR0913 - keyword arguments, each a thing of its own
    files: Mapping[str, Path],
    voice: Mapping[str, Any],
    scenario: Conversation,
    *,
    cache: Path,
    machine: Machine | None = None,
    progress: Progress = SILENT,
) -> Talk:
    """Hold one conversation with an application; see ``harness.conversation``.

    Measures, one sample a turn unless said otherwise:
        conversation.first_audio (ms): end of speech to first sound, of the turns that gave one
        conversation.gap (ms): the longest silence between two sounds of an answer
        conversation.stopping (ms, one an interruption): until no model worked on the answer
        conversation.unanswered (count): 1 where nothing was heard
        memory.turn (byte): resident after the turn and collection
        memory.growth (byte, one): how far it rose after turn 10 above its highest
            until then
        memory.peak, memory.after_gc (byte, one)

    Errors:
        see ``run.measure``
    """
    asked, notes = subject(files, voice, scenario, cache, (progress, ""))
    clips = spoken_clips(asked, cache)
    said = asked.ask({"job": "converse", "clips": [asdict(clip) for clip in clips]})
    talked = check(said, Talked, where="the voice application")
    remarks = talked.remarks
    grown = growth([r.resident for r in remarks])
    heard = [r.first_audio_ms for r in remarks if r.first_audio_ms is not None]
    found: list[Figure] = [
        ("conversation.first_audio", "ms", heard),
        ("conversation.gap", "ms", [r.gap_ms for r in remarks]),
        ("conversation.stopping", "ms", [r.stopping_ms for r in remarks if r.interrupted]),
        ("conversation.unanswered", "count", [r.first_audio_ms is None for r in remarks]),
        ("memory.turn", "byte", [r.resident for r in remarks]),
        ("memory.growth", "byte", [] if grown is None else [grown]),
        ("memory.peak", "byte", [] if talked.memory.peak is None else [talked.memory.peak]),
        ("memory.after_gc", "byte", [talked.memory.after_gc.resident]),
    ]
    errors = [f"turn {n + 1}: {r.error}" for n, r in enumerate(remarks) if r.error]
    return Talk(measures(found, machine or this_machine()), remarks, (*notes, *errors))
