"""Pauses in real speech: which end a sentence, which go on, and what the recognizer made of them.

    nox -s pauses

All English recordings of the reference application are heard frame by frame. A pause that goes on
before the usual silence ended would be cut short by any rule that decides sooner: each is listed
with its length, and whether what was understood until then looks like a whole sentence.

A second table shows what a fall of the level is worth: how much sooner than by the VAD an answer
is prepared, and how many preparations speech overtakes.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from toolchain import trial
from toolchain.formats.audio import Samples, read_wav
from toolchain.harness.session import SILENCE, framed
from toolchain.voice import pipeline
from toolchain.voice.assistant import whole_sentence
from toolchain.voice.endpoint import Endpoint
from toolchain.voice.loudness import Loudness
from toolchain.voice.stage import FRAME_MS, LISTENING_HZ
from toolchain.workspace import Workspace

_PROJECT = Path(__file__).parents[1] / "fixtures" / "voice-app"
_LONG = ("recordings/two_cities", "recordings/beckett", "recordings/endgame")
_ENGLISH = ("audio/", "recordings/en/", *_LONG)
_PRE_ROLL = 8  # frames, as the assistant's


@dataclass(frozen=True)
class Pause:
    """A silence: how many frames, whether speech went on before the usual end, what was heard."""

    frames: int
    went_on: bool
    text: str


def pauses(samples: Samples, stages: pipeline.Pipeline, usual: int) -> Iterator[Pause]:
    """Yield the pauses of a recording, (n,) at 16 kHz."""
    state, said, until, before = Endpoint(), [], 0, 0
    frames = [*framed(samples), *[SILENCE] * (usual + 2)]
    for frame, probability in zip(frames, stages.vad.stream(iter(frames)), strict=True):
        state = state.after(probability)
        said.append(frame)
        if state.began is None:
            said = said[-_PRE_ROLL:]
            continue
        until = len(said) if state.silent == 1 else until
        if (before and not state.silent) or state.silent == usual:
            text = next(stages.stt.stream([np.concatenate(said[:until])]))
            yield Pause(max(before, state.silent), not state.silent, text)
        before = state.silent
        if state.silent == usual:
            state, said, before = Endpoint(), [], 0


@dataclass
class Preparing:
    """What one range of the level did; 0 dB: only the VAD decides."""

    range_db: float
    sooner: list[int] = field(default_factory=list)  # frames before the VAD's, an end of speech
    overtaken: int = 0

    def hears(self, samples: Samples, stages: pipeline.Pipeline, usual: int) -> None:
        """Note when answers to a recording, (n,) at 16 kHz, would be prepared."""
        state, level, began = Endpoint(), Loudness(), None
        frames = [*framed(samples), *[SILENCE] * (usual + 2)]
        for at, probability in enumerate(stages.vad.stream(iter(frames))):
            state = state.after(probability)
            if state.began is None:
                continue
            if self.range_db:
                level = level.after(frames[at], self.range_db, state.spoken)
            if max(state.silent, level.pause) == 0:
                self.overtaken += began is not None
                began = None
            elif began is None:
                began = at
            if state.silent == usual and began is not None:
                self.sooner.append(at - usual + 1 - began)
                state, level, began = Endpoint(), Loudness(), None


def main() -> None:
    """Hear all recordings, and print how many pauses each silence would have cut short."""
    workspace = Workspace.open()
    _, files, voice = trial.application(str(_PROJECT), None, workspace)
    usual = trial.scenario_of("single-turn", None, str(_PROJECT)).manner.silence_frames
    named = {s: voice[s] for s in ("vad", "stt")}
    stages = {s: pipeline.load_stage(named, s, files) for s in named}
    heard = pipeline.Pipeline(**stages, llm=None, tts=None)  # type: ignore[arg-type]  # nobody answers
    found, seconds = [], 0.0
    ranges = [Preparing(db) for db in (0, 40, 35, 30, 25)]
    for name in sorted(n for n in files if n.startswith(_ENGLISH) and n.endswith(".wav")):
        samples = read_wav(files[name].read_bytes()).at(LISTENING_HZ).samples
        seconds += len(samples) / LISTENING_HZ
        found += pauses(samples, heard, usual)
        for one in ranges:
            one.hears(samples, heard, usual)
    ends = [p for p in found if not p.went_on]
    whole = sum(whole_sentence(p.text) for p in ends)
    table = Table("silence", "pauses that went on", "of them like whole sentences")
    for frames in range(1, usual):
        longer = [p for p in found if p.went_on and p.frames >= frames]
        cut = sum(whole_sentence(p.text) for p in longer)
        table.add_row(f"{frames * FRAME_MS:.0f} ms", str(len(longer)), str(cut))
    console = Console()
    console.print(table)
    console.print(
        f"{seconds:.0f} s of speech; {len(ends)} silences of {usual * FRAME_MS:.0f} ms, "
        f"{whole} of them after what looks like a whole sentence"
    )
    levels = Table("level falls by", "prepared sooner, mean", "overtaken by speech")
    for one in ranges:
        sooner = f"{statistics.fmean(one.sooner) * FRAME_MS:.0f} ms"
        levels.add_row(f"{one.range_db} dB" if one.range_db else "-", sooner, str(one.overtaken))
    console.print(levels)


if __name__ == "__main__":
    main()
