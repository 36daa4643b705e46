"""Clips in noise, quiet, clipped, fast, slow and late: what is speech in them is known."""

from pathlib import Path

import numpy as np
import pytest

from toolchain.formats.audio import Samples, read_wav
from toolchain.harness.conditions import CONDITIONS, Condition, listened, speech_frames
from toolchain.harness.conversation import Line
from toolchain.harness.heard import Frames, Heard, pooled
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import FRAME_SAMPLES


def tone(seconds: float) -> Samples:
    return np.sin(np.arange(round(16_000 * seconds)) / 5).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(16_000 * seconds), np.float32)


def test_the_frames_with_sound_are_speech_and_no_others() -> None:
    clip = np.concatenate([silence(0.64), tone(0.32), silence(0.64)])
    assert speech_frames(clip) == [False] * 20 + [True] * 10 + [False] * 20


@pytest.mark.parametrize("one", CONDITIONS, ids=lambda one: one.name)
def test_a_condition_moves_speech_as_it_says_and_adds_nothing_else(one: Condition) -> None:
    clip = np.concatenate([silence(0.32), tone(0.64), silence(0.32)])
    arrives, truth = one.heard(clip, np.random.default_rng(0))
    assert len(truth) == -(-len(arrives) // FRAME_SAMPLES)
    assert arrives.dtype == np.float32
    assert np.abs(arrives).max() <= 1
    longer = one.rate_hz / 16_000
    first = next(n for n, speech in enumerate(truth) if speech)
    assert first == pytest.approx((one.lead_s + 0.32 * longer) / 0.032, abs=1.1)
    assert sum(truth) == pytest.approx(20 * longer, abs=2), "the length of the tone"
    again, _ = one.heard(clip, np.random.default_rng(0))
    assert np.array_equal(arrives, again)


def test_noise_is_as_far_below_speech_as_its_condition_says() -> None:
    clip = tone(2.0) * 0.1
    said, _ = Condition("clean").heard(clip, np.random.default_rng(0))
    for decibels in (10.0, 20.0):
        noisy, _ = Condition("n", noise_db=decibels).heard(clip, np.random.default_rng(0))
        ratio = (said**2).mean() / ((noisy - said) ** 2).mean()
        assert 10 * np.log10(ratio) == pytest.approx(decibels, abs=0.2)


def test_f1_is_what_precision_and_recall_make_it() -> None:
    assert Frames(10, 0, 0).f1 == 1
    assert Frames(0, 5, 5).f1 == 0
    assert Frames(0, 0, 0).f1 == 0, "a recording without speech judges nobody"
    two = [
        Heard("c", "a", "", Frames(8, 2, 0), 0.0),
        Heard("c", "b", "", Frames(0, 0, 2), None),
    ]
    assert pooled(two) == Frames(8, 2, 2)


def test_the_real_stages_hear_a_clip_in_all_conditions(
    opened: Pipeline, files: dict[str, Path]
) -> None:
    samples = read_wav(files["audio/quick_brown_fox.wav"].read_bytes()).samples
    heard = list(listened(opened, [Line("fox", samples)]))
    assert [h.condition for h in heard] == [c.name for c in CONDITIONS]
    by_name = {h.condition: h for h in heard}
    for name in ("clean", "noise 20 dB", "quiet"):
        assert by_name[name].transcript == "The quick brown fox jumps over the lazy dog."
    assert all(h.frames.f1 > 0.85 for h in heard)
    assert all(h.end_error_ms is not None and abs(h.end_error_ms) <= 200 for h in heard)


def test_a_vad_that_hears_nothing_has_no_end_and_no_hits(
    opened: Pipeline, files: dict[str, Path]
) -> None:
    class Deaf:
        def stream(self, chunks: object) -> object:
            return (0.0 for _ in chunks)  # type: ignore[attr-defined]  # frames

    deaf = Pipeline(vad=Deaf(), stt=opened.stt, llm=opened.llm, tts=opened.tts)  # type: ignore[arg-type]  # a fault
    samples = read_wav(files["audio/hello_world.wav"].read_bytes()).samples
    first = next(listened(deaf, [Line("hello", samples)]))
    assert first.end_error_ms is None
    assert first.frames.hits == first.frames.false == 0 < first.frames.missed
