"""Clips in noise, quiet, clipped, fast, slow and late: what is speech in them is known."""

from pathlib import Path

import application
import numpy as np
import pytest
from rounded_model import rounded

from toolchain import rulebook
from toolchain.formats.audio import Samples, read_wav
from toolchain.gate import judge
from toolchain.harness.conditions import (
    CONDITIONS,
    Condition,
    _frames,
    listened,
    paused,
    speech_frames,
)
from toolchain.harness.conversation import Line
from toolchain.harness.heard import Frames, Heard, pooled
from toolchain.harness.session import framed
from toolchain.ir import Measure, State
from toolchain.voice import pipeline
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import FRAME_SAMPLES, Vad


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


def test_a_pause_falls_between_two_words_and_cuts_nothing() -> None:
    clip = np.concatenate([tone(0.7), silence(0.1), tone(0.5)])
    halting = paused(clip, 0.5)
    assert len(halting) == len(clip) + 8_000
    sounding = np.flatnonzero(halting)
    (gap,) = np.flatnonzero(np.diff(sounding) > 100)
    quiet = np.diff(sounding)[gap] / 16_000
    assert quiet == pytest.approx(0.6, abs=0.01), "the silence that was there, and the pause"
    assert np.array_equal(halting[sounding], clip[np.flatnonzero(clip)])
    assert paused(clip, 0.0) is clip
    assert paused(clip[:800], 0.5) is not None, "too short to have a middle"


def test_a_vad_with_coarser_weights_breaks_the_budgets_of_frames(
    files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "vad.onnx").write_bytes(rounded(files["models/silero_vad.onnx"], 3))
    wrong = files | {"models/silero_vad.onnx": tmp_path / "vad.onnx"}
    judged = {}
    for name, models in (("sound", files), ("coarse", wrong)):
        vad = pipeline.load_stage(application.voice(), "vad", models)
        found = [
            Measure(f"quality.vad_f1 in {one.name}", "ratio", (_f1(vad, files, one),))
            for one in CONDITIONS
            if one.name in {"clean", "noise 10 dB"}
        ]
        names = {m.name for m in found}
        pack = [b for b in rulebook.budgets("web-voice") if b.measure in names]
        judged[name] = [v.state for v in judge(found, pack)]
    assert judged == {"sound": [State.MET] * 2, "coarse": [State.BROKEN] * 2}


def _f1(vad: Vad, files: dict[str, Path], one: Condition) -> float:
    frames = []
    noise = np.random.default_rng(11)
    for name in application.voice()["audio"]["clips"]:
        samples, truth = one.heard(read_wav(files[name].read_bytes()).at(16_000).samples, noise)
        said = [p >= 0.5 for p in vad.stream(iter(framed(samples)))]
        frames.append(Heard(one.name, name, "", _frames(said, truth), None))
    return pooled(frames).f1


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
