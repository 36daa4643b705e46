"""Weighs an application: what each model takes, what is shared, what onnxruntime's arenas hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from toolchain.harness.examining import Application
from toolchain.harness.machine import machine as this_machine
from toolchain.harness.memory import Footprint
from toolchain.harness.scales import Weighed
from toolchain.harness.scenario import Listening
from toolchain.harness.subject import Figure, measures, subject
from toolchain.harness.turn import Clip
from toolchain.ir import Measure
from toolchain.progress import SILENT, Progress
from toolchain.tables import check
from toolchain.voice.pipeline import STAGES


def weighed(  # noqa: PLR0913 - keyword arguments, each a thing of its own
    application: Application,
    clips: Sequence[Clip],
    scenario: Listening,
    *,
    cache: Path,
    progress: Progress = SILENT,
    arena: bool = True,
) -> tuple[Measure, ...]:
    """Open the application in a process of its own, play each clip once, and say what it takes.

    With ``arena`` it does so twice: an application runs with onnxruntime's arenas off; the second
    process has them on, and says what they would cost.

    Measures, one sample each:
        memory.STAGE.MODEL, memory.STAGE.rest (byte): added to the resident memory by opening the
            model that the option MODEL names; by what is no model (dictionaries, system message).
            After collection: the parts of a stage are less than ``memory.STAGE``, which has garbage
        memory.STAGE.MODEL.unique (byte): of it in memory for this process alone
        memory.arena (byte): what onnxruntime's arenas hold after the clips, were they on: working
            memory of runs, not weights; as its log says
        memory.arena_cost (byte): how much more is resident with arenas on, after collection

    Errors:
        see ``run.measure``
    """
    played, _ = subject(
        application.files, application.voice, scenario, cache, (progress, application.label)
    )

    def asked(*, arena: bool) -> Weighed:
        request = {"job": "weigh", "clips": [asdict(clip) for clip in clips], "arena": arena}
        return check(played.ask(request), Weighed, where="the voice application")

    usual = asked(arena=False)
    figures = [*_parts(usual)]
    if arena:
        figures += _arena(usual, asked(arena=True))
    return measures(figures, this_machine())


def _parts(found: Weighed) -> Iterator[Figure]:
    order = sorted(found.parts, key=lambda name: STAGES.index(name.partition(".")[0]))
    for name in order:
        part = found.parts[name]
        yield f"memory.{name}", "byte", [part.resident]
        yield f"memory.{name}.unique", "byte", _known(part.unique)


def _arena(off: Weighed, on: Weighed) -> Iterator[Figure]:
    yield "memory.arena", "byte", _known(on.arena)
    yield "memory.arena_cost", "byte", [on.turned.resident - off.turned.resident]


def footprint_figures(found: Sequence[Footprint]) -> Iterator[Figure]:
    """Return what kinds of pages there are.

    memory.unique: in memory for this process alone; memory.proportional: shared pages divided by
    how many share them; memory.anonymous: in no file; memory.of_files: libraries and mapped
    weights, which the system may drop and share. All bytes, one a process.
    """
    for name in ("unique", "proportional", "anonymous", "of_files"):
        every = [getattr(one, name) for one in found]
        yield f"memory.{name}", "byte", [one for one in every if one is not None]


def _known(value: int | None) -> list[float]:
    return [] if value is None else [value]
