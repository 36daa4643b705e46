"""A GGUF model is widened to float32 ONNX once, whole or not at all."""

import os
from pathlib import Path

import application
import onnxruntime as ort
import pytest
import tiny_gguf

from toolchain.errors import InputError, UnavailableError
from toolchain.voice.runnable import data_files, runnable


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(tiny_gguf.written(*tiny_gguf.llama()))
    return path


def converted(gguf: Path, cache: Path) -> Path:
    return runnable({"models/smollm2.gguf": gguf}, application.voice(), cache)[
        "models/smollm2.gguf"
    ]


def test_it_becomes_a_model_that_runs(small: Path, tmp_path: Path) -> None:
    path = converted(small, tmp_path / "cache")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert "past.0.key" in {i.name for i in session.get_inputs()}
    assert sum(p.stat().st_size for p in data_files(path)) > 4 * 64 * 64


def test_it_is_written_once(small: Path, tmp_path: Path) -> None:
    first = converted(small, tmp_path / "cache")
    written = first.stat().st_mtime_ns
    copy = small.with_name("copy.gguf")
    copy.write_bytes(small.read_bytes())
    assert converted(copy, tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == written


def test_garbage_leaves_nothing_behind(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + os.urandom(64))
    with pytest.raises(InputError):
        converted(bad, tmp_path / "cache")
    assert list((tmp_path / "cache" / "fp32").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_said(small: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(UnavailableError, match="cannot be written") as caught:
        converted(small, tmp_path / "cache")
    assert "VTOOL_CACHE" in caught.value.hint


def test_other_files_stay_where_they_are(small: Path, tmp_path: Path) -> None:
    files = {"models/silero_vad.onnx": small.with_name("x"), "models/smollm2.gguf": small}
    files["models/silero_vad.onnx"].write_bytes(b"not GGUF")
    found = runnable(files, application.voice(), tmp_path / "cache")
    assert found["models/silero_vad.onnx"] == files["models/silero_vad.onnx"]
