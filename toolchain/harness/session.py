"""Plays one turn: a clip goes in frame by frame, an answer comes out, and a clock counts.

The clock
    Time on the clock is time since the clip began. Frame k of the clip *arrives* when a microphone
    would have delivered it: at the end of its 32 ms, (k + 1) * 32. Work takes the wall time that it
    really takes, in the threads or processes where it is really done; work on a frame cannot start
    before the frame has arrived. Where nobody has anything to do until the next frame, the clock is
    set forward to its arrival (``voice.clock``); in ``real_time`` it sleeps. No other time is
    assumed, added or left out.

The numbers
    End of speech is the end of the last 10 ms before the decision whose level is within 40 dB of
    the clip's loudest 10 ms: a fact about the recording, not about the model under test.
    ``first_audio_ms`` is from there until the sound of the first clause is complete and the end of
    speech is decided. It contains the silence that decides (as audio time), the frame the decision
    waits for, any hesitation of the VAD, and all work that did not fit in between.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import ToolError
from toolchain.formats.audio import Samples
from toolchain.harness.scenario import Listening
from toolchain.voice.assistant import Assistant, Exchange, Hearing
from toolchain.voice.clock import Clock
from toolchain.voice.stage import FRAME_MS, FRAME_SAMPLES, LISTENING_HZ
from toolchain.voice.watching import Event

_LEVEL_SAMPLES = LISTENING_HZ // 100  # 10 ms
SPEECH_RANGE_DB = 40.0
"""Ours: on the reference clips every choice from 25 to 50 dB gives an end within 50 ms."""

_MOST_SILENCE_FRAMES = (
    64  # 2 s of silence after a clip; a VAD that then still hears speech is wrong
)
SILENCE = np.zeros(FRAME_SAMPLES, np.float32)


def play(
    stages: Hearing,
    clip: Samples,
    scenario: Listening,
    where: str,
    *,
    seen: Callable[[Event], None] = lambda _event: None,
) -> Exchange:
    """Play ``clip``, (n,) at 16 kHz, and let the application answer the first thing it hears.

    ``seen`` is told of every piece of work: see ``watching.Watch``.

    Errors:
        ToolError: a stage failed, or heard nothing; names the stage and ``where``.
    """
    clock = Clock(real_time=bool(scenario.real_time))
    assistant = Assistant(stages, scenario.manner, clock, where=where, seen=seen)
    try:
        return _played(assistant, clock, framed(clip), where)
    finally:
        assistant.close()


def _played(assistant: Assistant, clock: Clock, frames: list[Samples], where: str) -> Exchange:
    at_ms = 0.0
    for frame in (*frames, *[SILENCE] * _MOST_SILENCE_FRAMES):
        at_ms += FRAME_MS
        assistant.work(at_ms)
        clock.arrive(at_ms)
        assistant.hear(frame)
        if assistant.exchanges:
            break
    if not assistant.exchanges:
        what = "no end of speech" if assistant.spoke else "no speech"
        raise ToolError(
            f"stage vad heard {what} in {where}",
            hint="listen to the clip; a VAD that a pass has damaged hears none either",
        )
    while assistant.exchanges[0].error is None and not assistant.answered:  # nobody says more
        at_ms += FRAME_MS
        assistant.work(at_ms)
        clock.arrive(at_ms)
        assistant.hear(SILENCE)
    one = assistant.exchanges[0]
    if one.error is not None:
        raise one.error
    return one


def framed(clip: Samples) -> list[Samples]:
    """Return the frames of ``clip``, (n,); the last one is filled up with silence."""
    whole = len(clip) // FRAME_SAMPLES * FRAME_SAMPLES
    frames = list(clip[:whole].reshape(-1, FRAME_SAMPLES))  # of half an hour no copy is made
    if whole < len(clip):
        frames.append(np.pad(clip[whole:], (0, FRAME_SAMPLES - len(clip) + whole)))
    return frames


def start_of_speech_ms(clip: Samples) -> float:
    """Return when the first 10 ms of ``clip``, (n,) at 16 kHz, are over that are speech."""
    return float(_loud(clip)[0] + 1) * 1000 * _LEVEL_SAMPLES / LISTENING_HZ


def end_of_speech_ms(clip: Samples, until_ms: float) -> float:
    """Return when speech ended that was heard ``until_ms``; see the module.

    Shapes:
        clip: (n,) at 16 kHz, not all silent before ``until_ms``
    """
    heard = clip[: int(min(until_ms * LISTENING_HZ / 1000, len(clip)))]
    return float(_loud(heard)[-1] + 1) * 1000 * _LEVEL_SAMPLES / LISTENING_HZ


def _loud(heard: Samples) -> NDArray[np.intp]:
    """Return which 10 ms of ``heard`` are within 40 dB of its loudest."""
    whole = len(heard) // _LEVEL_SAMPLES * _LEVEL_SAMPLES
    power = (heard[:whole].reshape(-1, _LEVEL_SAMPLES) ** 2).mean(axis=1)
    return np.flatnonzero(power >= power.max() / 10 ** (SPEECH_RANGE_DB / 10))
