"""Plays the same clips in several ways, clip by clip in random order, so that each pair compares.

All ways are open in one process at the same time and share the stages that are the same in them: a
busy minute of the machine meets them all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.formats.audio import Samples
from toolchain.harness.scenario import APART, Scenario
from toolchain.harness.session import play
from toolchain.harness.turn import Clip, turn
from toolchain.voice import pipeline
from toolchain.voice.engine import naming
from toolchain.voice.pipeline import OPENING, Pipeline

_SEED = 0  # of the order
MOST_ROUNDS = 40  # of all clips: then the bounds are narrow whatever the time. Ours


@dataclass(frozen=True)
class Way:
    """A way to play: the numbers of a scenario, the ``[voice]`` table, the files it names."""

    name: str
    scenario: Mapping[str, Any]
    voice: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one turn of one way took; turns of the same round and clip are a pair."""

    way: str
    clip: str
    round: int
    first_audio_ms: float
    cpu_ms: float | None  # of all threads; None: other processes worked too
    cut_off: bool
    answer: str


Say = Callable[[Mapping[str, Any]], None]


def tried(
    ways: Sequence[Way], said: Sequence[tuple[Clip, Samples]], seconds: float, say: Say
) -> Iterator[Attempt]:
    """Yield turns of all ``ways``; whole clips are played until ``seconds`` are over.

    The first round, of one clip, warms up. Opening is not counted.

    Errors:
        ConfigError, InputError: a way cannot be opened.
        ToolError: a stage failed.
    """
    rng = random.Random(_SEED)  # noqa: S311 - an order, not a secret
    with _opened(ways, say) as stages:
        scenarios = {way.name: Scenario(**way.scenario) for way in ways}
        for way in ways:
            play(stages[way.name], said[0][1], scenarios[way.name], said[0][0].name)
        began_s = time.monotonic()
        for number in range(MOST_ROUNDS * len(said)):
            spent_s = time.monotonic() - began_s
            if spent_s >= seconds:
                return
            say({"doing": "trying changes", "done": int(spent_s), "total": int(seconds)})
            clip, samples = said[number % len(said)]
            for way in rng.sample(ways, len(ways)):
                stage = stages[way.name], samples, scenarios[way.name]
                yield _attempt(way, number // len(said), clip, stage)


def _attempt(
    way: Way, number: int, clip: Clip, what: tuple[Pipeline, Samples, Scenario]
) -> Attempt:
    stages, samples, scenario = what
    before_s = time.process_time()
    played = play(stages, samples, scenario, clip.name)
    cpu_ms = 1000 * (time.process_time() - before_s)
    done, _ = turn(played, clip, samples, number)
    return Attempt(
        way.name,
        clip.name,
        number,
        done.times.first_audio,
        None if scenario.placement == APART else cpu_ms,
        done.cut_off,
        done.answer,
    )


@contextmanager
def _opened(ways: Sequence[Way], say: Say) -> Iterator[dict[str, Pipeline]]:
    """Open the stages of all ways; what two ways have in common is opened once."""
    shared: dict[str, Any] = {}
    with ExitStack() as closing:
        found = {}
        for way in ways:
            say({"doing": f"opening the stages: {way.name}"})
            if way.scenario.get("placement") == APART:
                found[way.name] = _apart(way, closing)
                continue
            stages = {}
            for stage in OPENING:
                key = repr((stage, way.voice[stage], _named(way, stage)))
                if key not in shared:
                    with naming(stage, "opening"):
                        shared[key] = pipeline.load_stage(way.voice, stage, _paths(way))
                stages[stage] = shared[key]
            found[way.name] = Pipeline(**stages)
        yield found


def _apart(way: Way, closing: ExitStack) -> Pipeline:
    from toolchain.voice import remote  # noqa: PLC0415 - multiprocessing takes 5 MB

    stages = remote.load(way.voice, _paths(way))
    closing.callback(remote.close, [stages.vad, stages.stt, stages.llm, stages.tts])
    return stages


def _paths(way: Way) -> dict[str, Path]:
    return {name: Path(path) for name, path in way.files.items()}


def _named(way: Way, stage: str) -> list[str]:
    """Return where the files lie that a stage names."""
    options = (o for o in way.voice[stage].values() if isinstance(o, str))
    return sorted(way.files[option] for option in options if option in way.files)
