"""Opens the application of a request in this process, and reads the clips it is played."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.formats.audio import read_wav
from toolchain.harness import memory
from toolchain.harness.conversation import Line
from toolchain.harness.memory import Memory
from toolchain.harness.scenario import APART
from toolchain.voice import pipeline
from toolchain.voice.engine import give_back, naming
from toolchain.voice.stage import LISTENING_HZ

Say = Callable[[Mapping[str, Any]], None]
"""Tells whoever asked what is being done."""


@dataclass
class Opened:
    """An application that is ready, and what opening it took."""

    application: pipeline.Pipeline
    init_s: float
    start: int
    stages: Mapping[str, int]

    def memory(self) -> Memory:
        """Return the memory until now."""
        peak = memory.peak()
        before = memory.resident()
        gc.collect()
        give_back()
        return Memory(self.start, self.stages, peak, before, memory.footprint())


@contextmanager
def opened(request: Mapping[str, Any], placement: int, say: Say) -> Iterator[Opened]:
    """Open the application; processes of its own end with the block."""
    files, start = paths(request), memory.resident()
    if placement == APART:
        from toolchain.voice import remote  # noqa: PLC0415 - multiprocessing takes 5 MB

        say({"doing": "opening all stages"})
        stages = remote.load(request["voice"], files)
        ready_s = time.monotonic()
        try:
            added = {"all": memory.resident() - start}
            yield Opened(stages, ready_s - request["created"], start, added)
        finally:
            remote.close([stages.vad, stages.stt, stages.llm, stages.tts])
        return
    marks, stage_by_name = {"start": start}, {}
    for stage in pipeline.OPENING:
        say({"doing": f"opening {stage}"})
        with naming(stage, "opening"):
            stage_by_name[stage] = pipeline.load_stage(request["voice"], stage, files)
        marks[stage] = memory.resident()
    init_s = time.monotonic() - request["created"]
    steps = itertools.pairwise(marks.values())
    added = {s: after - before for s, (before, after) in zip(stage_by_name, steps, strict=True)}
    yield Opened(pipeline.Pipeline(**stage_by_name), init_s, start, added)


def lines(request: Mapping[str, Any]) -> list[Line]:
    """Return the clips of a request, (n,) at 16 kHz."""
    return [
        Line(clip["name"], read_wav(Path(clip["path"]).read_bytes()).at(LISTENING_HZ).samples)
        for clip in request["clips"]
    ]


def paths(request: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files of a request by the project's names for them."""
    return {name: Path(path) for name, path in request["files"].items()}
