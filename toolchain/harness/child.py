"""The process that is measured: opens one application, plays turns, says what it saw.

Reads one request as a line of JSON from standard input, writes one JSON object a line to standard
output: ``{"doing": ...}`` on the way, ``{"result": ...}`` or ``{"error": ...}`` at the end. When
standard input is closed, whoever asked has ended, and so does it. It imports nothing that the
application would not need.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.errors import ConfigError, VtoolError
from toolchain.formats.audio import Audio, Samples, write_wav
from toolchain.harness import conversation, memory, sessions
from toolchain.harness.alone import alone
from toolchain.harness.conversation import Remark
from toolchain.harness.memory import Memory
from toolchain.harness.opening import Say, lines, paths
from toolchain.harness.opening import opened as opened_in
from toolchain.harness.rounds import run
from toolchain.harness.scenario import IN_TURN, Conversation, Scenario, Sessions
from toolchain.harness.serving import serve
from toolchain.harness.session import play
from toolchain.harness.sessions import Step
from toolchain.harness.turn import Clip, turn
from toolchain.harness.whole_file import write_whole
from toolchain.voice import pipeline
from toolchain.voice.engine import naming, one_heap
from toolchain.voice.observing import observed


@dataclass(frozen=True, slots=True)
class Talked:
    """What one process saw of a conversation."""

    init_s: float
    memory: Memory
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """What one process saw of users at once."""

    init_s: float
    memory: Memory
    steps: tuple[Step, ...]


def main() -> int:
    """Serve one request; the exit code is 0 also for an error that was told."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not get between our lines

    def say(message: Mapping[str, Any]) -> None:
        line.write(json.dumps(message) + "\n")
        line.flush()

    one_heap()
    request = json.loads(sys.stdin.readline())
    if request["job"] not in ON_REQUEST:
        threading.Thread(target=_end_with_who_asked, daemon=True).start()
    try:
        say({"result": JOBS[request["job"]](request, say)})
    except VtoolError as error:
        say({"error": {"exit_code": error.exit_code, "message": str(error), "hint": error.hint}})
    return 0


def _end_with_who_asked() -> None:
    """Wait until standard input is closed, and end at once; by the descriptor, without a lock."""
    while os.read(0, 1):
        pass
    os._exit(1)


def converse(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Open the application and hold a conversation with it; return a ``Talked``."""
    asked = Conversation(**request["scenario"])

    def at(turn: int, name: str) -> None:
        say({"doing": f"saying {name}", "done": turn, "total": asked.turns})

    with opened_in(request, asked.placement, say) as opened:
        remarks = tuple(conversation.converse(opened.application, lines(request), asked, at))
        return asdict(Talked(opened.init_s, opened.memory(), remarks))


def carry(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Open the application and let users ask it at once; return a ``Carried``."""
    asked = Sessions(**request["scenario"])

    def at(users: int) -> None:
        say({"doing": f"{users} users at once"})

    with opened_in(request, asked.placement, say) as opened:
        steps = tuple(sessions.carried(opened.application, lines(request), asked, at))
        return asdict(Carried(opened.init_s, opened.memory(), steps))


def trace(request: Mapping[str, Any], say: Say) -> list[dict[str, Any]]:
    """Open the application, play each clip ``turns`` times; return the ``Timeline`` of one each."""
    from toolchain.harness import tracing  # noqa: PLC0415 - no other job records

    scenario = Scenario(**request["scenario"])
    with opened_in(request, scenario.placement, say) as opened:
        said = _said(request)
        return [
            asdict(tracing.typical(opened.application, one, scenario, request["turns"], say))
            for one in said
        ]


def operators(request: Mapping[str, Any], say: Say) -> list[dict[str, Any]]:
    """Play each clip with models that write down what their operators take; return where."""
    from toolchain.harness import tracing  # noqa: PLC0415 - no other job records

    scenario = Scenario(**request["scenario"])
    models = tracing.OperatorTimes(Path(request["folder"]))
    with observed(models), opened_in(request, IN_TURN, say) as opened:
        alone = replace(scenario, placement=IN_TURN)  # one model computes at a time
        since_ns = tracing.played(opened.application, _said(request), alone, say)
        return [asdict(one) for one in tracing.written(models, since_ns)]


def attempt(request: Mapping[str, Any], say: Say) -> list[dict[str, Any]]:
    """Play the clips with all ``ways`` side by side; return an ``Attempt`` a turn."""
    from toolchain.harness import ways as playing  # noqa: PLC0415 - no other job compares

    ways = [playing.Way(**way) for way in request["ways"]]
    found = playing.tried(ways, _said(request), request["seconds"], say)
    return [asdict(one) for one in found]


def _said(request: Mapping[str, Any]) -> list[tuple[Clip, Samples]]:
    clips = [Clip(**clip) for clip in request["clips"]]
    return [(c, line.samples) for c, line in zip(clips, lines(request), strict=True)]


def speak(request: Mapping[str, Any], say: Say) -> list[str]:
    """Speak ``texts`` into wav files in ``folder``; return their paths in the same order."""
    say({"doing": "speaking the questions"})
    with naming("tts", "opening"):
        tts = pipeline.load_stage(request["voice"], "tts", paths(request))
    written = []
    for number, text in enumerate(request["texts"]):
        with naming("tts", repr(text)):
            sounds = list(tts.stream([text]))
        if not sounds:
            raise ConfigError(
                f"voice.audio: the TTS has no sound for the question {text!r}",
                hint="write it in words of the voice's language",
            )
        samples = np.concatenate([sound.samples for sound in sounds])
        path = Path(request["folder"]) / f"question-{number + 1}.wav"
        write_whole(path, write_wav(Audio(samples, sounds[0].rate_hz)))
        written.append(str(path))
    return written


def examine(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Answer facts, and compare with a reference; return ``likeness.Examined``."""
    from toolchain.harness import likeness  # noqa: PLC0415 - its spectra: no application has them

    return asdict(likeness.examine(request, say))


def weigh(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Say what each model takes; return ``scales.Weighed``."""
    from toolchain.harness import scales  # noqa: PLC0415 - only where used

    scenario = Scenario(**request["scenario"])
    return asdict(scales.weigh(request, lines(request), scenario, say))


def on_request(request: Mapping[str, Any], say: Say) -> None:
    """Open the application, then play ``clip``, a number, each time it is asked."""
    scenario, heard = Scenario(**request["scenario"]), lines(request)
    clips = [Clip(**clip) for clip in request["clips"]]

    def work(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        clip, samples = clips[asked["clip"]], heard[asked["clip"]].samples
        one, _ = turn(play(opened.application, samples, scenario, clip.name), clip, samples, 0)
        return {"answer": one.answer, "tokens": len(one.tokens), "times": asdict(one.times)}

    with opened_in(request, scenario.placement, say) as opened:
        serve(work, sys.stdin, say, memory.started())


def passes(request: Mapping[str, Any], say: Say) -> None:
    """Open ``stages`` alone, then do passes through them; see ``stage_pass``."""
    from toolchain.harness.stage_pass import serve_passes  # noqa: PLC0415 - no application has it

    clips = [line.samples for line in lines(request)]
    serve_passes(request, paths(request), clips, say)


ON_REQUEST: Mapping[str, Callable[[Mapping[str, Any], Say], Any]] = {
    "on request": on_request,
    "passes": passes,
}
"""These read on, and end with their input themselves."""

JOBS: Mapping[str, Callable[[Mapping[str, Any], Say], Any]] = {
    "run": run,
    "speak": speak,
    "converse": converse,
    "carry": carry,
    "examine": examine,
    "weigh": weigh,
    "alone": alone,
    "trace": trace,
    "operators": operators,
    "attempt": attempt,
    **ON_REQUEST,
}


if __name__ == "__main__":
    sys.exit(main())
