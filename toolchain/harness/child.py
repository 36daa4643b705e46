"""The process that is measured: opens one application, plays turns, says what it saw.

Reads one request as JSON from standard input, writes one JSON object a line to standard output:
``{"doing": ...}`` on the way, ``{"result": ...}`` or ``{"error": ...}`` at the end. It imports
nothing that the application would not need.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toolchain.errors import VtoolError
from toolchain.formats.audio import Audio, read_wav, write_wav
from toolchain.harness import memory
from toolchain.harness.scenario import Scenario
from toolchain.harness.session import play
from toolchain.harness.turn import Clip, Turn, turn
from toolchain.voice import pipeline
from toolchain.voice.engine import give_back, naming
from toolchain.voice.stage import LISTENING_HZ

Say = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of the process."""

    start: int  # interpreter and libraries, before the first model
    stages: Mapping[str, int]  # added by opening each stage
    peak: int | None
    after_gc: int  # at the end, after collection


class Spoken(NamedTuple):
    """A turn and the sound of its answer."""

    turn: Turn
    sound: Audio


@dataclass(frozen=True, slots=True)
class Result:
    """What one process saw."""

    init_s: float  # from before the process was created until all stages were ready
    memory: Memory
    turns: tuple[Turn, ...]
    choices: Mapping[str, tuple[int, ...]]  # by clip: see ``Llm.choices``


def main() -> int:
    """Serve one request; the exit code is 0 also for an error that was told."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not get between our lines

    def say(message: Mapping[str, Any]) -> None:
        line.write(json.dumps(message) + "\n")
        line.flush()

    request = json.loads(sys.stdin.read())
    try:
        job = {"run": run, "speak": speak}[request["job"]]
        say({"result": job(request, say)})
    except VtoolError as error:
        say({"error": {"exit_code": error.exit_code, "message": str(error), "hint": error.hint}})
    return 0


def run(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Open the application and play ``clips``, which may be none; return a ``Result``."""
    files = _paths(request)
    marks = {"start": memory.resident()}
    stages = {}
    for stage in pipeline.OPENING:
        say({"doing": f"opening {stage}"})
        with naming(stage, "opening"):
            stages[stage] = pipeline.load_stage(request["voice"], stage, files)
        marks[stage] = memory.resident()
    application = pipeline.Pipeline(**stages)
    init_s = time.monotonic() - request["created"]
    played = _rounds(application, request, say)
    peak = memory.peak()
    gc.collect()
    give_back()
    added = itertools.pairwise(marks.values())
    seen = Memory(
        start=marks["start"],
        stages={s: after - before for s, (before, after) in zip(stages, added, strict=True)},
        peak=peak,
        after_gc=memory.resident(),
    )
    # what users do not do comes after the memory was read
    turns = _hear(application, played)
    choices = {}
    for clip, (question, answer) in request["answers"].items():
        say({"doing": f"choosing the tokens of the answer to {clip}"})
        with naming("llm", clip):
            choices[clip] = tuple(application.llm.choices(question, answer))
    return asdict(Result(init_s, seen, turns, choices))


def _rounds(application: pipeline.Pipeline, request: Mapping[str, Any], say: Say) -> list[Spoken]:
    """Play all clips once a round, warm-up rounds first; return the turns that count."""
    scenario = Scenario(**request["scenario"])
    clips = [Clip(**clip) for clip in request["clips"]]
    heard = [read_wav(Path(c.path).read_bytes()).at(LISTENING_HZ).samples for c in clips]
    rounds = range(-scenario.warm_up, scenario.repeats)
    total = len(rounds) * len(clips)
    kept = []
    for done, (repeat, (clip, samples)) in enumerate(
        itertools.product(rounds, zip(clips, heard, strict=True))
    ):
        say({"doing": f"playing {clip.name}", "done": done, "total": total})
        played = play(application, samples, scenario, clip.name)
        one = Spoken(*turn(played, clip, samples, repeat))
        if repeat >= 0:
            kept.append(_written(one, request["audio_out"]) if repeat == 0 else one)
    return kept


def _written(one: Spoken, folder: str | None) -> Spoken:
    if folder is None:
        return one
    name = f"{one.turn.clip}.wav"
    (Path(folder) / name).write_bytes(write_wav(one.sound))
    return Spoken(replace(one.turn, audio=name), one.sound)


def _hear(application: pipeline.Pipeline, played: list[Spoken]) -> tuple[Turn, ...]:
    """Return the turns; those of the first repeat with what the STT hears in their answers."""
    turns = []
    for one in played:
        heard = ""
        if one.turn.repeat == 0:
            with naming("stt", f"the answer to {one.turn.clip}"):
                heard = next(application.stt.stream([one.sound.at(LISTENING_HZ).samples]))
        turns.append(replace(one.turn, heard=heard))
    return tuple(turns)


def speak(request: Mapping[str, Any], say: Say) -> list[str]:
    """Speak ``texts`` into wav files in ``folder``; return their paths in the same order."""
    say({"doing": "speaking the questions"})
    tts = pipeline.load_stage(request["voice"], "tts", _paths(request))
    paths = []
    for number, text in enumerate(request["texts"]):
        with naming("tts", repr(text)):
            sounds = list(tts.stream([text]))
        samples = np.concatenate([sound.samples for sound in sounds])
        path = Path(request["folder"]) / f"question-{number + 1}.wav"
        path.write_bytes(write_wav(Audio(samples, sounds[0].rate_hz)))
        paths.append(str(path))
    return paths


def _paths(request: Mapping[str, Any]) -> dict[str, Path]:
    return {name: Path(path) for name, path in request["files"].items()}


if __name__ == "__main__":
    sys.exit(main())
