"""Turns on a clock: what is waited for, what is worked, what is thrown away."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from toolchain.errors import ToolError
from toolchain.formats.audio import Audio, Samples, read_wav
from toolchain.harness.scenario import Scenario
from toolchain.harness.session import end_of_speech_ms, framed, play, start_of_speech_ms
from toolchain.harness.turn import Clip, Turn, turn
from toolchain.voice import pipeline
from toolchain.voice.assistant import Exchange
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import FRAME_MS


def vad_that_raises(path: Path) -> Path:
    """Write a model with the right inputs that opens, but reshapes 576 samples to 7 x 7."""
    floats = TensorProto.FLOAT
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [7, 7])
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["input", "shape"], ["output"]),
            helper.make_node("Identity", ["state"], ["stateN"]),
        ],
        "damaged",
        [
            helper.make_tensor_value_info("input", floats, ["batch", "samples"]),
            helper.make_tensor_value_info("state", floats, [2, 1, 128]),
        ],
        [
            helper.make_tensor_value_info("output", floats, [7, 7]),
            helper.make_tensor_value_info("stateN", floats, [2, 1, 128]),
        ],
        [shape],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def clip(files: dict[str, Path], name: str) -> Samples:
    return read_wav(files[f"audio/{name}.wav"].read_bytes()).samples


def silence(ms: int) -> Samples:
    return np.zeros(ms * 16, np.float32)


def told(played: Exchange, samples: Samples) -> tuple[Turn, Audio]:
    return turn(played, Clip("x", "", "", recorded=True, digest=""), samples, 0)


def loud_part(files: dict[str, Path]) -> Samples:
    """Return "hello world" up to the end of its last loud frame."""
    hello = clip(files, "hello_world")
    return hello[: round(end_of_speech_ms(hello, math.inf) * 16)]


def test_a_turn_is_heard_understood_answered_and_spoken(
    opened: Pipeline, files: dict[str, Path], quick: Scenario
) -> None:
    samples = clip(files, "quick_brown_fox")
    one, sound = told(play(opened, samples, quick, "fox"), samples)
    assert one.transcript == "The quick brown fox jumps over the lazy dog."
    assert 0 < len(one.tokens) <= 12
    assert sound.rate_hz == 24_000
    assert sound.seconds > 0.5
    assert not one.cut_off


def test_latency_contains_the_silence_that_decides(
    opened: Pipeline, files: dict[str, Path], quick: Scenario
) -> None:
    samples = clip(files, "hello_world")
    times = told(play(opened, samples, quick, "hello"), samples)[0].times
    assert times.endpoint >= quick.silence_ms - FRAME_MS
    assert times.first_audio >= times.endpoint
    assert times.first_audio >= times.stt + times.llm_first + times.tts_first
    longer = replace(quick, silence_ms=512, sure_silence_ms=512)
    late = told(play(opened, samples, longer, "hello"), samples)[0].times
    assert late.endpoint - times.endpoint == pytest.approx(256, abs=40)
    ready = replace(
        quick, silence_ms=1_600, sure_silence_ms=1_600
    )  # the answer is ready long before the end is decided
    kept = told(play(opened, samples, ready, "hello"), samples)[0].times
    assert kept.first_audio == kept.endpoint, "nothing is heard before the end of speech is decided"


@pytest.mark.alone
def test_an_answer_prepared_in_the_silence_is_sooner_by_what_fitted_in(
    opened: Pipeline, files: dict[str, Path], quick: Scenario
) -> None:
    samples = clip(files, "hello_world")
    waiting = replace(quick, answer_after_ms=quick.silence_ms)
    late_ms, soon_ms = [], []
    for _ in range(3):  # in turn, and the best of each: the machine may do other things
        late = told(play(opened, samples, waiting, "hello"), samples)[0].times
        work = late.stt + late.llm_first + late.tts_first
        assert late.first_audio - late.endpoint >= work
        late_ms.append(late.first_audio - late.endpoint)
        soon = told(play(opened, samples, quick, "hello"), samples)[0].times
        soon_ms.append(soon.first_audio - soon.endpoint)
    assert min(soon_ms) < min(late_ms)


def test_a_short_pause_voids_what_was_prepared(
    opened: Pipeline, files: dict[str, Path], quick: Scenario
) -> None:
    hello = loud_part(files)
    samples = np.concatenate([hello, silence(100), clip(files, "hello_world")])
    played = play(opened, samples, quick, "twice")
    one = told(played, samples)[0]
    assert one.transcript.lower().count("hello") == 2
    assert not one.cut_off


def test_a_long_pause_is_taken_for_the_end_and_reported(
    opened: Pipeline, files: dict[str, Path], quick: Scenario
) -> None:
    samples = np.concatenate([loud_part(files), silence(800), clip(files, "hello_world")])
    one = told(play(opened, samples, quick, "twice"), samples)[0]
    assert one.transcript.lower().count("hello") == 1
    assert one.cut_off


def test_silence_alone_is_no_turn(opened: Pipeline, quick: Scenario) -> None:
    with pytest.raises(ToolError, match="stage vad heard no speech in nothing"):
        play(opened, silence(1_000), quick, "nothing")


def test_a_stage_that_raises_is_named_with_the_clip(
    opened: Pipeline, files: dict[str, Path], quick: Scenario, tmp_path: Path
) -> None:
    path = vad_that_raises(tmp_path / "vad.onnx")
    table = {"vad": {"adapter": "silero", "model": "vad.onnx"}}
    broken = replace(opened, vad=pipeline.load_stage(table, "vad", {"vad.onnx": path}))
    with pytest.raises(ToolError, match="stage vad failed on hello") as caught:
        play(broken, clip(files, "hello_world"), quick, "hello")
    assert "voice.vad" in caught.value.hint


@pytest.mark.parametrize("quiet_db", [-80, -41, -39, -10])
def test_speech_ends_with_its_last_part_within_forty_decibels(quiet_db: int) -> None:
    tone = np.sin(np.arange(16_000) / 5).astype(np.float32)
    tail = tone[:8_000] * 10 ** (quiet_db / 20)
    ended = end_of_speech_ms(np.concatenate([tone, tail, silence(500)]), math.inf)
    assert ended == (1_000 if quiet_db < -40 else 1_500)


def test_speech_begins_with_its_first_part_within_forty_decibels() -> None:
    tone = np.sin(np.arange(1_600)).astype(np.float32)
    assert start_of_speech_ms(np.concatenate([silence(300), tone, silence(100)])) == 310
    assert start_of_speech_ms(np.concatenate([tone * 0.001, tone])) == 110


def test_half_an_hour_of_frames_takes_no_second_half_hour_of_memory() -> None:
    clip = np.arange(1_000, dtype=np.float32)
    whole, last = framed(clip)
    assert np.shares_memory(whole, clip)
    assert np.array_equal(np.concatenate([whole, last])[:1_000], clip)
    assert not last[488:].any()
    assert framed(clip[:0]) == []


def test_what_comes_after_the_decision_is_not_looked_at() -> None:
    tone = np.sin(np.arange(16_000) / 5).astype(np.float32)
    assert end_of_speech_ms(np.concatenate([tone, silence(500), tone]), 1_400) == 1_000
