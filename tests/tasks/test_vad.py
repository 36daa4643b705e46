"""What the guard of voice activity detectors sees, and what it lets pass."""

from __future__ import annotations

import logging
import math
from functools import cache
from pathlib import Path

import pytest
import real
import recorded_speech
from onnx import parser
from onnxruntime.quantization import quantize_dynamic
from rounded_model import rounded

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_runner import open_runner
from toolchain.tasks.base import Limit, Score, Split, Task, make_task

SILERO = "pypi:silero-vad==6.2.3"


@cache
def silero(variant: str) -> Path:
    return real.file(SILERO, f"silero_vad/data/{variant}.onnx")


@cache
def guard() -> Task:
    return make_task({"family": "vad"}, recorded_speech.recordings())


@cache
def reference(split: Split) -> object:
    return guard().reference(open_runner(silero("silero_vad")), split)


def score(model: bytes | Path, split: Split = Split.CALIBRATION) -> Score:
    return guard().score(open_runner(model), reference(split), split)


def test_the_vendors_own_16_khz_file_is_the_same_as_the_general_one() -> None:
    found = score(silero("silero_vad_16k_op15"))
    assert (found.error, found.agreement) == (0.0, 1.0)
    assert found.positions > 1_000
    assert 0.3 < found.details["share of speech"] < 0.5


def test_fewer_levels_are_further_away_and_eight_bits_are_near_enough() -> None:
    scores = [score(rounded(silero("silero_vad_16k_op15"), n), Split.SEARCH) for n in (127, 7)]
    eight, four = scores
    assert not guard().limit.problem(eight)
    assert guard().limit.problem(four)
    assert eight.error < four.error / 4


def test_dynamic_int8_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The known trap: the file becomes smaller and the detector useless."""
    caplog.set_level(logging.CRITICAL)
    quantize_dynamic(silero("silero_vad_16k_op15"), tmp_path / "int8.onnx")
    found = score(tmp_path / "int8.onnx")
    assert found.agreement < 0.8
    assert "error" in guard().limit.problem(found)


def test_confirmation_asks_more_than_ten_thousand_frames() -> None:
    found = score(silero("silero_vad_16k_op15"), Split.CONFIRMATION)
    assert found.positions > 10_000
    assert found.error == 0.0


def test_another_detector_is_understood_by_its_shapes() -> None:
    akiki = real.file("pypi:akiki==0.0.6", "akiki/models/akiki-vad.onnx")
    options = {"family": "vad", "frame": 256, "context": 320}
    task = make_task(options, recorded_speech.recordings())
    asked = task.reference(open_runner(akiki), Split.CALIBRATION)
    assert task.score(open_runner(akiki), asked, Split.CALIBRATION).error == 0.0
    near = task.score(open_runner(rounded(akiki, 127)), asked, Split.CALIBRATION)
    assert near.error > 0
    assert not task.limit.problem(near)


TOY = """<ir_version: 8, opset_import: ["" : 17]>
main (float[1, 576] x, float[1, 1] h) => (float[1, 1] p, float[1, 1] h_out)
<float slow = {0.5}, float loud = {30.0}> {
    size = Abs (x)
    level = ReduceMean <axes = [1]> (size)
    old = Mul (h, slow)
    h_out = Add (old, level)
    scaled = Mul (h_out, loud)
    p = Tanh (scaled)
}"""


def toy(text: str = TOY) -> bytes:
    data: bytes = parser.parse_model(text).SerializeToString()
    return data


def test_each_model_runs_with_its_own_state() -> None:
    """Half the memory of loudness changes nothing in the first frame, and more and more after."""
    task = guard()
    asked = task.reference(open_runner(toy()), Split.CALIBRATION)
    forgetful = toy(TOY.replace("0.5", "0.25"))
    found = task.score(open_runner(forgetful), asked, Split.CALIBRATION)
    assert 0.05 < found.error < 0.3
    assert found.details["largest error"] > 0.3
    assert found.details["agreement in noise"] < found.details["agreement in speech"] < 1.0


LOUDEST = 0.15  # the mean size of samples, which one frame of the calibration exceeds


def spoiled(number: str, least: float) -> bytes:
    """Return the toy; frames whose level is above ``least`` give a number that is none."""
    ending = f"""spare = Constant <value = float {{{number}}}> ()
        least = Constant <value = float {{{least}}}> ()
        bad = Greater (level, least)
        good = Tanh (scaled)
        p = Where (bad, spare, good)"""
    return toy(TOY.replace("p = Tanh (scaled)", ending))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_one_frame_that_is_not_finite_is_infinitely_far(number: str) -> None:
    task = guard()
    asked = task.reference(open_runner(toy()), Split.CALIBRATION)
    one = task.score(open_runner(spoiled(number, LOUDEST)), asked, Split.CALIBRATION)
    assert 0.99 < one.agreement < 1.0
    assert one.error == one.details["largest error"] == math.inf
    assert "error" in task.limit.problem(one)
    none = task.score(open_runner(spoiled(number, 2.0)), asked, Split.CALIBRATION)
    assert none.error == 0.0


def test_an_original_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="the original's p is not finite") as caught:
        guard().reference(open_runner(spoiled("nan", LOUDEST)), Split.CALIBRATION)
    assert caught.value.hint


def test_a_probability_that_is_no_array_is_refused() -> None:
    text = TOY.replace("(float[1, 1] p,", "(seq(float[1, 1]) p,")
    text = text.replace("p = Tanh (scaled)", "q = Tanh (scaled) p = SequenceConstruct (q)")
    with pytest.raises(InputError, match="the output 'p' is a sequence"):
        guard().reference(open_runner(toy(text)), Split.CALIBRATION)


def test_what_is_never_a_number_is_infinitely_far() -> None:
    task = guard()
    asked = task.reference(open_runner(toy()), Split.CALIBRATION)
    broken = toy(
        TOY.replace("p = Tanh (scaled)", "p = Div (scaled, zero)")
        .replace("float slow", "float zero = {0.0}, float slow")
        .replace("level = ReduceMean", "level_ = ReduceMean")
        .replace(
            "h_out = Add (old, level)", "level = Sub (level_, level_) h_out = Add (old, level)"
        )
    )
    found = task.score(open_runner(broken), asked, Split.CALIBRATION)
    assert found.error == math.inf
    assert found.agreement == 0.0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            TOY.replace("float[1, 1] h_out", "float[1, 1] other").replace("h_out", "other"),
            InputError,
        ),
        (TOY.replace("576", "512"), ConfigError),
    ],
)
def test_a_model_that_is_no_such_detector_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"sound|samples"):
        guard().reference(open_runner(toy(text)), Split.CALIBRATION)


def test_the_default_limit_can_be_moved() -> None:
    assert guard().limit == Limit(error=0.006, agreement=0.998)
    options = {"family": "vad", "limit": {"agreement": 0.99}}
    assert make_task(options, recorded_speech.recordings()).limit == Limit(
        error=0.006, agreement=0.99
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"audio": ["music/*"]}, "0 pieces of speech match"),
        ({"audio": ["speech/en/hello_world.wav"]}, "1 pieces of speech match"),
        ({"frame": 0}, "a frame of 0 samples"),
        ({"threshold": "high"}, "task vad: threshold"),
    ],
)
def test_a_wrong_request_is_named(options: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        make_task({"family": "vad", **options}, recorded_speech.recordings())
