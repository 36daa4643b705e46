"""What the guard of speech recognizers hears, for both halves of a pair."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import application
import numpy as np
import pytest
import recorded_speech
from rounded_model import coarser

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_runner import open_runner
from toolchain.passes.import_ort import ImportOrt
from toolchain.tasks.base import Limit, Score, Split, Task, make_task
from toolchain.tasks.questions.choices import Choices, edits

FOLDER = "models/moonshine/"
ENCODER, DECODER = FOLDER + "encoder_model.ort", FOLDER + "decoder_model_merged.ort"
OTHER = {ENCODER: DECODER, DECODER: ENCODER}


@cache
def files() -> dict[str, Path]:
    return {**application.unoptimized(), **recorded_speech.recordings()}


@cache
def guard(model: str) -> Task:
    options = {
        "family": "stt",
        "companion": OTHER[model],
        "tokenizer": FOLDER + "tokenizer.bin",
        "audio": ["speech/en/*.wav", "speech/beckett.wav"],
        "held": ["speech/en/*.wav"],
    }
    return make_task(options, files())


@cache
def reference(model: str, split: Split) -> object:
    return guard(model).reference(open_runner(files()[model]), split)


@cache
def imported(model: str) -> bytes:
    return ImportOrt().rewrite(files()[model].read_bytes())


def score(model: str, changed: bytes, split: Split = Split.CALIBRATION) -> Score:
    return guard(model).score(open_runner(changed), reference(model, split), split)


@pytest.mark.parametrize("model", [ENCODER, DECODER])
def test_an_imported_model_hears_what_the_ort_file_hears(model: str) -> None:
    found = score(model, imported(model))
    assert (found.error, found.agreement) == (0.0, 1.0)
    assert found.positions > 10


@pytest.mark.parametrize("model", [ENCODER, DECODER])
def test_coarse_codes_are_refused(model: str) -> None:
    found = score(model, coarser(imported(model), 16))
    assert found.error > 0.015
    assert found.details["agreement everywhere"] < 1.0
    assert "error" in guard(model).limit.problem(found)


def test_the_confirmation_has_the_held_clips_and_says_whether_transcripts_are_the_same() -> None:
    task = guard(ENCODER)
    opened = open_runner(files()[ENCODER])
    asked = task.reference(opened, Split.CONFIRMATION)
    same = task.score(opened, asked, Split.CONFIRMATION)
    assert same.details["same transcripts"] == 1.0
    assert same.details["word error rate"] == 0.0
    assert 0.9 < same.details["share decided"] <= 1.0
    broken = open_runner(coarser(imported(ENCODER), 32))
    other = task.score(broken, asked, Split.CONFIRMATION)
    assert other.details["same transcripts"] < 1.0
    assert other.details["word error rate"] > 0.0
    assert other.details["held clips"] < same.details["held clips"] == 1.0
    assert other.agreement < 0.995


def test_two_halves_of_one_kind_are_no_pair() -> None:
    with pytest.raises(InputError, match=r"both the model and .* are decoders"):
        guard(ENCODER).reference(open_runner(files()[DECODER]), Split.CALIBRATION)


def test_a_model_that_is_neither_half_is_refused() -> None:
    vad = open_runner(files()["models/silero_vad.onnx"])
    with pytest.raises(InputError, match="neither half"):
        guard(ENCODER).reference(vad, Split.CALIBRATION)


def test_the_half_can_be_named_and_is_then_checked() -> None:
    options = {"family": "stt", "companion": DECODER, "part": "decoder"}
    task = make_task({**options, "audio": ["speech/en/*.wav"]}, files())
    with pytest.raises(InputError, match=r"a encoder, not the decoder"):
        task.reference(open_runner(files()[ENCODER]), Split.CALIBRATION)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "companion: this key is missing"),
        ({"companion": "nowhere.onnx"}, "names nowhere"),
        ({"companion": DECODER, "part": "middle"}, "task stt: part"),
        ({"companion": DECODER, "audio": ["*.flac"]}, "0 pieces of speech"),
        ({"companion": DECODER, "held": ["*"]}, "leave none for: calibration, search"),
    ],
)
def test_a_wrong_request_is_named(options: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make_task({"family": "stt", **options}, files())


def test_the_default_limit_is_the_bar_and_twice_a_microphones_noise() -> None:
    assert guard(ENCODER).limit == Limit(error=0.015, agreement=0.995)


def logits(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_equal_probabilities_do_not_diverge_whatever_the_level_of_the_logits() -> None:
    found = Choices.between(logits([1, 2, 3], [1e4, 0, 0]), logits([2, 3, 4], [2e4, 0, 0]))
    assert found.divergence.max() == pytest.approx(0.0, abs=1e-12)
    assert found.same.all()


def test_divergence_is_that_of_kullback_and_leibler() -> None:
    half, quarter = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    found = Choices.between(half.astype(np.float32), quarter.astype(np.float32))
    assert found.divergence[0] == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3), rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_diverges_without_end_and_agrees_with_nothing(bad: float) -> None:
    found = Choices.between(logits([3, 2, 1]), logits([bad, 2, 1]))
    assert found.divergence[0] == np.inf
    assert not found.same[0]


def test_added_and_missing_words_are_edits() -> None:
    assert edits([], ["a", "b"]) == 2
    assert edits(["a", "b", "c"], ["b", "c"]) == 1
    assert edits(["a"], ["a"]) == 0
