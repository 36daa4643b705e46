"""import-ort as a pass, and on the speech recognizer of the reference application."""

from __future__ import annotations

from pathlib import Path

import application
import pytest
import real
from onnx import load_from_string

from toolchain.errors import FormatError
from toolchain.formats.audio import read_wav
from toolchain.ir import ArtifactId, Kind
from toolchain.passes.import_ort import ImportOrt
from toolchain.verify import same_answers
from toolchain.voice import pipeline

PACKAGE = "pypi:moonshine-voice==0.0.73"
MEMBERS = ("encoder_model", "decoder_model_merged")


def original(member: str) -> bytes:
    return real.file(PACKAGE, f"moonshine_voice/assets/tiny-en/{member}.ort").read_bytes()


def test_the_file_gets_the_name_of_its_new_format() -> None:
    made = ImportOrt()
    assert made.rename(ArtifactId("models/a.ort")) == "models/a.onnx"
    assert made.rename(ArtifactId("models/blob")) == "models/blob.onnx"
    assert made.produces is Kind.ONNX


@pytest.mark.parametrize("member", MEMBERS)
def test_moonshine_gives_the_same_bits_and_is_no_larger(member: str) -> None:
    before = original(member)
    after = ImportOrt().rewrite(before)
    assert len(after) < len(before)
    assert after == ImportOrt().rewrite(bytes(before))
    proof = same_answers.prove(before, after, {})
    assert proof.holds, proof.detail


def test_moonshine_keeps_its_fused_operators() -> None:
    model = load_from_string(ImportOrt().rewrite(original("encoder_model")))
    assert {o.domain: o.version for o in model.opset_import} == {"": 18, "com.microsoft": 1}
    kinds = [n.op_type for n in model.graph.node if n.domain == "com.microsoft"]
    assert kinds.count("DynamicQuantizeMatMul") == 18
    assert kinds.count("MatMulIntegerToFloat") == 18


def test_moonshine_writes_down_the_same_words(tmp_path: Path) -> None:
    voice, files = application.voice(), application.unoptimized()
    for member in MEMBERS:
        name = f"models/moonshine/{member}.ort"
        files[name] = tmp_path / f"{member}.onnx"
        files[name].write_bytes(ImportOrt().rewrite(original(member)))
    stt = pipeline.load_stage(voice, "stt", files)
    names = ("counting", "hello_world", "quick_brown_fox")
    clips = [read_wav(files[f"audio/{name}.wav"].read_bytes()).samples for name in names]
    assert [heard.rstrip(".") for heard in stt.stream(clips)] == [
        "One, two, three, four, five, six, seven, eight, nine, ten",
        "Hello world",
        "The quick brown fox jumps over the lazy dog",
    ]


@pytest.mark.parametrize("end", [0, 7, 8, 100])
def test_a_cut_file_is_refused(end: int) -> None:
    with pytest.raises(FormatError):
        ImportOrt().rewrite(original("encoder_model")[:end])
