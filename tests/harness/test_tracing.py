"""A recorded turn: all work, its overlap, its sums; and what trials and watched models give."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import application
import numpy as np
import pytest

from toolchain.formats.audio import Samples, read_wav
from toolchain.harness.scenario import IN_TURN, Scenario
from toolchain.harness.session import end_of_speech_ms, play
from toolchain.harness.subject import Subject
from toolchain.harness.tracing import Recorder, timeline
from toolchain.harness.turn import Clip, turn
from toolchain.ir.timeline import DECIDED, END_OF_SPEECH, FIRST_AUDIO, Lane, Timeline
from toolchain.profiling.operators import watched
from toolchain.profiling.runtime import recorded
from toolchain.progress import SILENT
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import Stt


def of(files: dict[str, Path], name: str) -> tuple[Clip, Samples]:
    path = files[f"audio/{name}.wav"]
    text = path.with_suffix(".txt").read_text("utf-8").strip()
    return Clip(name, str(path), text, recorded=True, digest=""), read_wav(
        path.read_bytes()
    ).samples


def told(stages: Pipeline, scenario: Scenario, what: tuple[Clip, Samples]) -> Timeline:
    recorder = Recorder()
    played = play(stages, what[1], scenario, what[0].name, seen=recorder)
    return timeline(played, recorder, *what)


@pytest.mark.parametrize("placement", [0, 1])
def test_the_sums_of_a_timeline_are_the_times_of_the_turn(
    opened: Pipeline, files: dict[str, Path], quick: Scenario, placement: int
) -> None:
    clip, samples = of(files, "hello_world")
    recorder = Recorder()
    scenario = replace(quick, placement=placement)
    played = play(opened, samples, scenario, clip.name, seen=recorder)
    seen = timeline(played, recorder, clip, samples)
    times = turn(played, clip, samples, 0)[0].times
    assert seen.work_ms(Lane.STT) == pytest.approx(times.stt)
    assert seen.work_ms(Lane.LLM) == pytest.approx(times.llm)
    assert seen.work_ms(Lane.TTS) == pytest.approx(times.tts)
    assert seen.first_audio_ms == pytest.approx(times.first_audio)
    ended, decided, heard = (seen.at_ms(w) for w in (END_OF_SPEECH, DECIDED, FIRST_AUDIO))
    assert ended is not None
    assert decided is not None
    assert heard is not None
    assert ended < decided <= heard
    assert sum(s.ms for s in seen.spans if s.lane is Lane.HEARD) == pytest.approx(times.spoken)


class _SlowToHear:
    """The real STT, which takes so long that the next frames arrive before it is done."""

    def __init__(self, stt: Stt) -> None:
        self._stt = stt

    def stream(self, chunks: Iterable[Samples]) -> Iterator[str]:
        for text in self._stt.stream(chunks):
            time.sleep(0.15)
            yield text


def test_work_that_overlaps_on_the_clock_overlaps_in_the_timeline(
    opened: Pipeline, files: dict[str, Path], quick: Scenario
) -> None:
    stages = replace(opened, stt=_SlowToHear(opened.stt))
    seen = told(stages, quick, of(files, "hello_world"))
    [heard] = [s for s in seen.spans if s.lane is Lane.STT and s.kept]
    frames = [s for s in seen.spans if s.lane is Lane.VAD]
    assert any(heard.start_ms < f.start_ms < f.end_ms < heard.end_ms for f in frames)


def test_what_was_prepared_and_thrown_away_is_there_and_marked(
    opened: Pipeline, files: dict[str, Path], quick: Scenario
) -> None:
    clip, samples = of(files, "hello_world")
    loud = samples[: round(end_of_speech_ms(samples, math.inf) * 16)]
    paused = np.concatenate((loud, np.zeros(150 * 16, np.float32), samples))
    eager = replace(quick, answer_after_ms=32, placement=IN_TURN)
    seen = told(opened, eager, (clip, paused))
    thrown = [s for s in seen.spans if not s.kept]
    assert thrown, "something was prepared in the pause"
    assert {s.lane for s in thrown} <= {Lane.STT, Lane.LLM, Lane.TTS}
    [kept] = [s for s in seen.spans if s.lane is Lane.STT and s.kept]
    assert all(s.start_ms < kept.start_ms for s in thrown)


def test_turns_are_recorded_and_operators_watched_in_processes_of_their_own(
    files: dict[str, Path], quick: Scenario
) -> None:
    table = application.voice()
    table["llm"]["max_tokens"] = 3
    subject = Subject(files, table, quick, SILENT)
    clip, _ = of(files, "hello_world")
    [seen] = recorded(subject, (clip,))
    assert {s.lane for s in seen.spans} == set(Lane)
    assert all(s.ms >= 0 for s in seen.spans)
    assert seen.memory
    models = watched(subject, (clip,))
    assert [m.stage for m in models] == ["vad", "stt", "stt", "llm", "tts", "tts"]
    tokens = sum(s.lane is Lane.LLM and s.what == "token" for s in seen.spans)
    llm = next(m for m in models if m.stage == "llm")
    assert llm.runs == tokens, "warm-up and the system message are not counted"
    for model in models:
        assert sum(o.share for o in model.operators) == pytest.approx(1.0) if model.runs else True
        assert model.operators_ms <= model.runs_ms
