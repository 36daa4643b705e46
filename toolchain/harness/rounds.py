"""Plays the clips of a scenario to the application, in rounds: the job ``run`` of ``child``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from toolchain.formats.audio import Audio, write_wav
from toolchain.harness.heard import MOST_SAMPLES, Heard
from toolchain.harness.memory import Memory
from toolchain.harness.opening import Say, lines
from toolchain.harness.opening import opened as opened_in
from toolchain.harness.scenario import APART, Scenario
from toolchain.harness.session import play
from toolchain.harness.turn import Clip, Turn, turn
from toolchain.harness.whole_file import write_whole
from toolchain.voice import pipeline
from toolchain.voice.engine import naming
from toolchain.voice.stage import LISTENING_HZ


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
    overhead: Mapping[str, tuple[float, ...]]  # ms a call, by stage in a process of its own
    heard: tuple[Heard, ...]  # the clips in all conditions, where they were asked for


def run(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Open the application and play ``clips``, which may be none; return a ``Result``."""
    scenario = Scenario(**request["scenario"])
    with opened_in(request, scenario.placement, say) as opened:
        application = opened.application
        played = _rounds(application, request, scenario, say)
        seen = opened.memory()
        # what users do not do comes after the memory was read
        turns = _hear(application, played)
        heard = _in_conditions(application, request, say)
        choices = {}
        for clip, (question, answer) in request["answers"].items():
            say({"doing": f"choosing the tokens of the answer to {clip}"})
            with naming("llm", clip):
                choices[clip] = tuple(application.llm.choices(question, answer))
        overhead = {
            stage: tuple(getattr(application, stage).overhead.calls_ms)
            for stage in pipeline.STAGES
            if scenario.placement == APART
        }
    return asdict(Result(opened.init_s, seen, turns, choices, overhead, heard))


def _in_conditions(
    application: pipeline.Pipeline, request: Mapping[str, Any], say: Say
) -> tuple[Heard, ...]:
    if not request.get("conditions"):
        return ()
    from toolchain.harness import conditions  # noqa: PLC0415 - 11 MB that no application has

    short = [line for line in lines(request) if len(line.samples) <= MOST_SAMPLES]

    def at(done: int, name: str) -> None:
        total = len(conditions.CONDITIONS)
        say({"doing": f"hearing the clips {name}", "done": done, "total": total})

    return tuple(conditions.listened(application, short, at))


def _rounds(
    application: pipeline.Pipeline, request: Mapping[str, Any], scenario: Scenario, say: Say
) -> list[Spoken]:
    """Play all clips once a round, warm-up rounds first; return the turns that count."""
    clips = [Clip(**clip) for clip in request["clips"]]
    heard = [line.samples for line in lines(request)]
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
    write_whole(Path(folder) / name, write_wav(one.sound))
    return Spoken(replace(one.turn, audio=name), one.sound)


def _hear(application: pipeline.Pipeline, played: list[Spoken]) -> tuple[Turn, ...]:
    """Return the turns; those of the first repeat with what the STT hears in their answers."""
    turns = []
    for one in played:
        heard = ""
        if one.turn.repeat == 0:
            with naming("stt", f"the answer to {one.turn.clip}"):
                heard = next(application.stt.stream([one.sound.at(LISTENING_HZ).samples]), "")
        turns.append(replace(one.turn, heard=heard))
    return tuple(turns)
