"""How a model is opened: what a table says reaches onnxruntime, and a wrong one is refused."""

from pathlib import Path

import application
import numpy as np
import onnxruntime as ort
import pytest

from toolchain.errors import ConfigError
from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.formats.onnx_model import serialized
from toolchain.harness.memory import resident
from toolchain.quantization.measuring import optimize_ahead
from toolchain.quantization.targets import Level, Setting
from toolchain.quantization.trial import Limits
from toolchain.voice import pipeline
from toolchain.voice.engine import Session, open_model, opened_as
from toolchain.voice.mapped import give_back_mapped


def test_what_the_table_says_is_what_onnxruntime_was_told(tmp_path: Path) -> None:
    files = {"vad.onnx": _vad(tmp_path)}
    asked = {"threads": 2, "spinning": True, "arena": True, "prepacking": False}
    with opened_as({"vad.onnx": Session(**asked)}):
        told = open_model(files, "vad.onnx").get_session_options()
        assert told.intra_op_num_threads == 2
        assert told.enable_cpu_mem_arena
        assert told.get_session_config_entry("session.intra_op.allow_spinning") == "1"
        assert told.get_session_config_entry("session.disable_prepacking") == "1"
    usual = open_model(files, "vad.onnx").get_session_options()
    assert (usual.intra_op_num_threads, usual.enable_cpu_mem_arena) == (1, False)


def test_options_for_a_file_that_the_stage_does_not_use_are_refused() -> None:
    voice = application.voice()
    voice["vad"]["sessions"] = {"models/other.onnx": {"threads": 1}}
    with pytest.raises(ConfigError, match=r"names models/other\.onnx"):
        pipeline.check_table(voice)
    voice["vad"]["sessions"] = {"models/silero_vad.onnx": {"thread": 1}}
    with pytest.raises(ConfigError, match="unknown key"):
        pipeline.check_table(voice)


def test_mapped_weights_are_given_back_and_answer_as_before(tmp_path: Path) -> None:
    """20 MB of a table of which two rows are read."""
    graph = GraphBuilder()
    table = np.random.default_rng(0).standard_normal((5000, 1000)).astype(np.float32)
    graph.add("Gather", graph.constant("table", table), "at", outputs=["row"])
    ports = [value("at", np.int64, (1,)), value("row", np.float32, (1, 1000))]
    (tmp_path / "plain.onnx").write_bytes(serialized(graph.model(ports[:1], ports[1:], {})))
    ahead = Setting("ahead", "", ahead=Level.BASIC, external=True)
    limits = Limits(60, 4_000_000_000)
    optimize_ahead(tmp_path / "plain.onnx", ahead, tmp_path / "mapped.onnx", limits)
    weights = tmp_path / "mapped.onnx.data"
    session = ort.InferenceSession(str(tmp_path / "mapped.onnx"))
    for row in range(0, 5000, 10):
        session.run(None, {"at": np.array([row])})
    before = resident()
    given = give_back_mapped(weights)
    if given:  # Linux
        assert given > 15_000_000
        assert before - resident() > 15_000_000
    assert give_back_mapped(weights) < 1_000_000
    assert np.array_equal(session.run(None, {"at": np.array([4999])})[0], table[4999:])
    assert give_back_mapped(tmp_path / "nothing") == 0


def _vad(folder: Path) -> Path:
    graph = GraphBuilder()
    graph.add("Identity", "x", outputs=["y"])
    ports = [value(name, np.float32, (1,)) for name in "xy"]
    path = folder / "vad.onnx"
    path.write_bytes(serialized(graph.model(ports[:1], ports[1:], {})))
    return path
