"""One pass of a clip through the stages, one after the other in one thread, without a clock.

A turn's work depends on when things happen: what was begun on suspicion, which thread waited. A
pass is always the same work, so that it can be done eleven times instead of ten, or counted in
instructions.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from toolchain.formats.audio import Samples
from toolchain.harness.session import framed
from toolchain.voice.engine import naming
from toolchain.voice.pipeline import STAGES, Pipeline

_TOKENS = 8  # of the answer: each further one is the same work on one more token (ours)
_SPOKEN = "Yes, of course."  # the same for every language model, so that the TTS can be compared


def passed(
    application: Pipeline, samples: Samples, stages: tuple[str, ...] = STAGES
) -> Mapping[str, Any]:
    """Do the work of ``stages`` on a clip; return what was understood and answered.

    The language model is asked the same question whatever was understood.

    Shapes:
        samples: (n,) at 16 kHz

    Errors:
        ToolError: a stage failed.
    """
    seen: dict[str, Any] = {}
    for stage in stages:
        with naming(stage, "a clip"):
            seen[stage] = _WORK[stage](application, samples)
    return seen


def _listened(application: Pipeline, samples: Samples) -> int:
    return len(list(application.vad.stream(framed(samples))))


def _understood(application: Pipeline, samples: Samples) -> str:
    return next(iter(application.stt.stream([samples])))


def _answered(application: Pipeline, samples: Samples) -> str:
    del samples
    tokens = application.llm.stream(["What is the capital of France?"])
    return "".join(token.text for token in itertools.islice(tokens, _TOKENS))


def _spoken(application: Pipeline, samples: Samples) -> int:
    del samples
    return sum(len(sound.samples) for sound in application.tts.stream([_SPOKEN]))


_WORK = {"vad": _listened, "stt": _understood, "llm": _answered, "tts": _spoken}
