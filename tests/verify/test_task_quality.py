"""The proof of lossy passes: what it lets through and what it must not."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import real
import recorded_speech
from onnx import parser
from onnxruntime.quantization import quantize_dynamic

from toolchain.errors import ConfigError
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.model_package import pack
from toolchain.verify import task_quality

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
LAYER = """main (float[1, 4] x) => (float[1, 4] y)
    <float[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1}> { y = MatMul (x, w) }"""


def model(text: str) -> bytes:
    data: bytes = parser.parse_model(f"{HEAD} {text}").SerializeToString()
    return data


def unknown(limit: float) -> dict[str, object]:
    return {"task": {"family": "unknown", "limit": limit}, "files": {}}


def test_the_same_model_holds() -> None:
    proof = task_quality.prove(model(LAYER), model(LAYER), unknown(0.0))
    assert proof.holds
    assert "error 0 relative of 0 allowed" in proof.detail
    assert "200 positions" in proof.detail  # four numbers in 50 frames: those of the confirmation


def test_a_model_within_the_limit_holds_and_one_outside_does_not() -> None:
    near = model(LAYER.replace("{1,", "{1.1,"))
    assert task_quality.prove(model(LAYER), near, unknown(0.1)).holds
    proof = task_quality.prove(model(LAYER), near, unknown(1e-4))
    assert not proof.holds
    assert "is above 0.0001" in proof.detail


def test_a_package_is_judged_by_the_model_that_it_makes() -> None:
    codes = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [8, 7, 6, 5], [4, 3, 2, 1]], np.int8)
    exact = CodedTensor(codes, (4, 4), "float32", (np.ones((1, 1), np.float32),))
    package = pack(model(LAYER), {0: exact})
    assert task_quality.prove(model(LAYER), package, unknown(0.0)).holds
    coarse = CodedTensor(codes // 2, (4, 4), "float32", (np.full((1, 1), 2, np.float32),))
    assert not task_quality.prove(
        model(LAYER), pack(model(LAYER), {0: coarse}), unknown(0.01)
    ).holds


def test_a_damaged_package_does_not_hold() -> None:
    package = pack(model(LAYER), {})
    proof = task_quality.prove(model(LAYER), package[:-3], unknown(1.0))
    assert not proof.holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAYER.replace("4] y)", "4] z)").replace("y =", "z ="), "outputs"),
        (LAYER.replace(" x)", " a)").replace("(x,", "(a,"), "inputs"),
        (LAYER.replace("MatMul (x, w)", "Unheard (x, w)"), "cannot load"),
        (LAYER.replace("y = MatMul (x, w)", "a = Neg (w) b = Sqrt (a) y = MatMul (x, b)"), "above"),
    ],
)
def test_what_cannot_take_the_originals_place_does_not_hold(text: str, why: str) -> None:
    proof = task_quality.prove(model(LAYER), model(text), unknown(1.0))
    assert not proof.holds
    assert why in proof.detail


@pytest.mark.parametrize(
    "options", [{}, {"task": {"family": "unknown"}}, {"task": {"family": "x"}}]
)
def test_a_task_without_a_limit_is_a_wrong_request(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        task_quality.prove(model(LAYER), model(LAYER), options)


def test_dynamic_int8_does_not_hold_for_a_voice_detector(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    path = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx")
    names = {name: str(path) for name, path in recorded_speech.recordings().items()}
    options = {"task": {"family": "vad"}, "files": names}
    quantize_dynamic(path, tmp_path / "int8.onnx")
    refused = task_quality.prove(path.read_bytes(), (tmp_path / "int8.onnx").read_bytes(), options)
    assert not refused.holds
    assert "of 99.80% asked" in refused.detail
