"""A GGUF model is widened to float32 ONNX once, whole or not at all."""

import os
from pathlib import Path

import application
import numpy as np
import onnxruntime as ort
import pytest
from gguf import GGUFWriter

from toolchain.errors import InputError, UnavailableError
from toolchain.voice.runnable import data_files, runnable

HIDDEN, INNER, WORDS = 32, 64, 40
SHAPES = {
    "token_embd": (WORDS, HIDDEN),
    "output_norm": (HIDDEN,),
    "blk.0.attn_norm": (HIDDEN,),
    "blk.0.attn_q": (HIDDEN, HIDDEN),
    "blk.0.attn_k": (HIDDEN, HIDDEN),
    "blk.0.attn_v": (HIDDEN, HIDDEN),
    "blk.0.attn_output": (HIDDEN, HIDDEN),
    "blk.0.ffn_norm": (HIDDEN,),
    "blk.0.ffn_gate": (INNER, HIDDEN),
    "blk.0.ffn_up": (INNER, HIDDEN),
    "blk.0.ffn_down": (HIDDEN, INNER),
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Write a llama of one layer with 2 heads."""
    path = tmp_path / "small.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    rng = np.random.default_rng(1)
    for name, shape in SHAPES.items():
        writer.add_tensor(f"{name}.weight", rng.standard_normal(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def converted(gguf: Path, cache: Path) -> Path:
    return runnable({"models/smollm2.gguf": gguf}, application.voice(), cache)[
        "models/smollm2.gguf"
    ]


def test_it_becomes_a_model_that_runs(small: Path, tmp_path: Path) -> None:
    path = converted(small, tmp_path / "cache")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert "past.0.key" in {i.name for i in session.get_inputs()}
    assert sum(p.stat().st_size for p in data_files(path)) > 4 * WORDS * HIDDEN


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
