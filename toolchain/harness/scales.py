"""What a process that is weighed does: opens one model after another and says what each takes.

Apart from the processes whose time is measured: before and after each model everything that nobody
needs is collected and given back to the system, which no application would do.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime as ort

from toolchain.harness import memory
from toolchain.harness.conversation import Line
from toolchain.harness.memory import Footprint
from toolchain.harness.scenario import Listening
from toolchain.harness.session import play
from toolchain.voice import pipeline
from toolchain.voice.engine import arenas_told, give_back, naming
from toolchain.voice.observing import Observer, observed
from toolchain.voice.pipeline import Pipeline

Say = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Part:
    """What opening a model, or the rest of its stage, has added, in bytes."""

    resident: int
    unique: int | None

    def less(self, others: Sequence[Part]) -> Part:
        """Return what is left of it without ``others``."""
        alone = [one.unique for one in (self, *others)]
        first, *rest = (one or 0 for one in alone)
        return Part(
            self.resident - sum(one.resident for one in others),
            None if None in alone else first - sum(rest),
        )


@dataclass(frozen=True, slots=True)
class Weighed:
    """What one process saw."""

    parts: Mapping[str, Part]  # "stt.encoder": a model by its option; "tts.rest": what is no model
    turned: Footprint  # after each clip was played once, and collection
    arena: int | None  # bytes that onnxruntime's arenas hold; None: they are off, or nobody can say


def weigh(
    request: Mapping[str, Any], lines: Sequence[Line], scenario: Listening, say: Say
) -> Weighed:
    """Open all stages and play ``lines`` once; with ``arena``, onnxruntime keeps what runs took.

    Errors:
        InputError, ToolError: see ``child.run``.
    """
    grown: list[int] = []
    with arenas_told(grown.append) if request["arena"] else nullcontext(enter_result=False) as told:
        parts, opened = _opened(request, say)
        for number, line in enumerate(lines):
            say({"doing": f"playing {line.name}", "done": number, "total": len(lines)})
            play(opened, line.samples, scenario, line.name)
    return Weighed(parts, _settled(), sum(grown) if told else None)


def _opened(request: Mapping[str, Any], say: Say) -> tuple[dict[str, Part], Pipeline]:
    files = {name: Path(path) for name, path in request["files"].items()}
    parts: dict[str, Part] = {}
    stages = {}
    for stage in pipeline.OPENING:
        say({"doing": f"weighing {stage}"})
        scale = _Scale(arena=request["arena"])
        with naming(stage, "opening"), observed(scale), scale.weighing(stage):
            stages[stage] = pipeline.load_stage(request["voice"], stage, files)
        whole = scale.found.pop(stage)
        names = {
            file: option
            for option, file in request["voice"][stage].items()
            if isinstance(file, str) and file in files
        }
        parts |= {f"{stage}.{names[name]}": part for name, part in scale.found.items()}
        parts[f"{stage}.rest"] = whole.less(list(scale.found.values()))
    return parts, Pipeline(**stages)


@dataclass
class _Scale(Observer):
    """Notes what has been added while something was opened, by its name."""

    arena: bool  # whether onnxruntime keeps memory for later runs: in no application unless asked
    found: dict[str, Part] = field(default_factory=dict)

    def configured(self, chosen: ort.SessionOptions) -> None:
        chosen.enable_cpu_mem_arena = chosen.enable_cpu_mem_arena or self.arena

    def opening(self, name: str, work: Callable[[], ort.InferenceSession]) -> ort.InferenceSession:
        with self.weighing(name):
            return work()

    @contextmanager
    def weighing(self, name: str) -> Iterator[None]:
        """Note what the block adds."""
        before = _settled()
        yield
        now = _settled()
        added = Part(now.resident, now.unique).less([Part(before.resident, before.unique)])
        self.found[name] = added


def _settled() -> Footprint:
    gc.collect()
    give_back()
    return memory.footprint()
