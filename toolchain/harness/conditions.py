"""The same clips as people really say them: in noise, too quiet, too loud, faster, slower, halting.

What is speech in a clip is known from the recording itself, before anything is added: frames whose
level is within 40 dB of the loudest 10 ms. So the VAD is judged by a fact, not by another model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from toolchain.formats.audio import Samples, resample
from toolchain.harness.conversation import Line
from toolchain.harness.heard import Frames, Heard
from toolchain.harness.session import SPEECH_RANGE_DB, framed
from toolchain.tasks.questions.audio import in_noise, pink
from toolchain.voice.engine import naming
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import FRAME_MS, FRAME_SAMPLES, LISTENING_HZ

_SEED = 11  # of the noise: the same in every run
_TAIL_S = 0.5  # of silence after the clip, in which a VAD that hears on is wrong
_SPEECH = 0.5  # Silero's threshold


@dataclass(frozen=True, slots=True)
class Condition:
    """What is done to a clip, in this order."""

    name: str
    pause_s: float = 0.0  # silence at the quietest place in the middle of it
    rate_hz: int = LISTENING_HZ  # resampled to it and played at 16 kHz: faster below, pitch too
    lead_s: float = 0.0  # silence before it
    gain_db: float = 0.0  # what is beyond full scale is cut off
    noise_db: float | None = None  # speech over pink noise

    def heard(self, clip: Samples, noise: np.random.Generator) -> tuple[Samples, list[bool]]:
        """Return ``clip``, (n,) at 16 kHz, as it arrives, and which frames of it are speech."""
        lead = np.zeros(round(self.lead_s * LISTENING_HZ), np.float32)
        tail = np.zeros(round(_TAIL_S * LISTENING_HZ), np.float32)
        spoken = resample(paused(clip, self.pause_s), LISTENING_HZ, self.rate_hz)
        said = np.concatenate([lead, spoken, tail])
        arrives = np.clip(said * 10 ** (self.gain_db / 20), -1, 1).astype(np.float32)
        if self.noise_db is not None:
            arrives = in_noise(arrives, pink(noise, len(arrives)), self.noise_db)
        return arrives, speech_frames(said)


CONDITIONS = (
    Condition("clean"),
    Condition("noise 20 dB", noise_db=20),
    Condition("noise 10 dB", noise_db=10),
    Condition("quiet", gain_db=-20),
    Condition("clipped", gain_db=20),
    Condition("fast", rate_hz=14_000),
    Condition("slow", rate_hz=18_000),
    Condition("late", lead_s=2.0),
    Condition("paused", pause_s=0.5),
)
"""Clips are the recordings and the questions that the application's own voice speaks. 20 dB is an
office, 10 dB a street; 20 dB less is a microphone across the room, 20 dB more one at the lips;
speech varies by 13 % within one speaker; who looks for a word is silent for half a second. Ours."""


def paused(clip: Samples, seconds: float) -> Samples:
    """Return ``clip``, (n,) at 16 kHz, with silence at the quietest 50 ms of its middle half.

    There a word ends or lips close: nothing is cut through.
    """
    window = LISTENING_HZ // 20
    low, high = len(clip) // 4, len(clip) * 3 // 4
    if not seconds or high - low < 2 * window:
        return clip
    power = np.cumsum(np.square(clip[low:high], dtype=np.float64))
    at = low + int((power[window:] - power[:-window]).argmin()) + 1 + window // 2
    silence = np.zeros(round(seconds * LISTENING_HZ), np.float32)
    return np.concatenate([clip[:at], silence, clip[at:]])


def speech_frames(clip: Samples) -> list[bool]:
    """Return for each VAD frame of ``clip``, (n,) at 16 kHz, whether anything in it is speech."""
    frames = np.stack(framed(clip))
    parts = frames[:, : FRAME_SAMPLES // 160 * 160].reshape(len(frames), -1, 160)  # 10 ms
    power = (parts**2).mean(axis=2).max(axis=1)
    return [bool(p >= power.max() / 10 ** (SPEECH_RANGE_DB / 10)) for p in power]


def listened(
    stages: Pipeline,
    lines: Sequence[Line],
    say: Callable[[int, str], None] = lambda _done, _name: None,
) -> Iterator[Heard]:
    """Let VAD and STT hear every clip in every condition; ``say`` is told each before it begins.

    Errors:
        ToolError: a stage failed; names it, the clip and the condition.
    """
    for done, condition in enumerate(CONDITIONS if lines else ()):
        say(done, condition.name)
        noise = np.random.default_rng(_SEED)
        for line in lines:
            where = f"{line.name}, {condition.name}"
            samples, truth = condition.heard(line.samples, noise)
            with naming("vad", where):
                said = [p >= _SPEECH for p in stages.vad.stream(iter(framed(samples)))]
            with naming("stt", where):
                transcript = next(stages.stt.stream([samples]), "")
            yield Heard(
                condition.name, line.name, transcript, _frames(said, truth), _end(said, truth)
            )


def _frames(said: Sequence[bool], truth: Sequence[bool]) -> Frames:
    pairs = list(zip(said, truth, strict=True))
    return Frames(
        hits=sum(a and b for a, b in pairs),
        false=sum(a and not b for a, b in pairs),
        missed=sum(b and not a for a, b in pairs),
    )


def _end(said: Sequence[bool], truth: Sequence[bool]) -> float | None:
    """Return how far the last frame of speech is off, in ms: later is positive."""
    if not any(said):
        return None
    last = max(n for n, speech in enumerate(said) if speech)
    return (last - max(n for n, speech in enumerate(truth) if speech)) * FRAME_MS
