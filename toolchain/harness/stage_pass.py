"""One pass of a clip through stages, one after the other in one thread, without a clock.

A turn's work depends on when things happen: what was begun on suspicion, which thread waited. A
pass is always the same work, so that it can be done eleven times instead of ten, or counted in
instructions.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolchain.formats.audio import Samples
from toolchain.harness.serving import Say, serve
from toolchain.harness.session import framed
from toolchain.voice import pipeline
from toolchain.voice.engine import naming

_TOKENS = 8  # of the answer: each further one is the same work on one more token (ours)
_ASKED = "What is the capital of France?"  # whatever was understood: the same work
_SPOKEN = "Yes, of course."


def serve_passes(
    request: Mapping[str, Any], files: Mapping[str, Path], clips: Sequence[Samples], say: Say
) -> None:
    """Open the ``stages`` of the request and no other; do passes until nobody asks any more.

    Each request has ``clip``, a number, ``stages``, and how many ``passes`` through them.

    Errors:
        ToolError: a stage failed.
    """
    opened = {}
    for stage in request["stages"]:
        say({"doing": f"opening {stage}"})
        with naming(stage, "opening"):
            opened[stage] = pipeline.load_stage(request["voice"], stage, files)

    def work(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        seen: Mapping[str, Any] = {}
        for _ in range(asked["passes"]):
            seen = passed({s: opened[s] for s in asked["stages"]}, clips[asked["clip"]])
        return seen

    serve(work, sys.stdin, say)


def passed(stages: Mapping[str, Any], samples: Samples) -> dict[str, Any]:
    """Do the work of ``stages`` on a clip, (n,) at 16 kHz; return what each made, in short.

    Errors:
        ToolError: a stage failed.
    """
    seen = {}
    for name, stage in stages.items():
        with naming(name, "a pass"):
            seen[name] = _WORK[name](stage, samples)
    return seen


def _listened(vad: Any, samples: Samples) -> int:  # noqa: ANN401 - a Vad; _WORK has one type
    return len(list(vad.stream(framed(samples))))


def _understood(stt: Any, samples: Samples) -> str:  # noqa: ANN401 - an Stt
    return str(next(iter(stt.stream([samples]))))


def _answered(llm: Any, samples: Samples) -> str:  # noqa: ANN401 - an Llm
    del samples
    return "".join(token.text for token in itertools.islice(llm.stream([_ASKED]), _TOKENS))


def _spoken(tts: Any, samples: Samples) -> int:  # noqa: ANN401 - a Tts
    del samples
    return sum(len(sound.samples) for sound in tts.stream([_SPOKEN]))


_WORK = {"vad": _listened, "stt": _understood, "llm": _answered, "tts": _spoken}
