"""``vtool optimize MODEL``: a model without a project, a task and a limit on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_gguf
from cli.project import Ran, vtool
from onnx import helper, numpy_helper

from toolchain.formats.materializer import materialize

WIDTH = 48


def _model(path: Path) -> Path:
    """Write a small perceptron, its weights seeded."""
    generator = np.random.default_rng(3)
    first, second = (generator.standard_normal((WIDTH, WIDTH), np.float32) for _ in range(2))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "second"], ["y"]),
        ],
        "perceptron",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def _optimized(tmp_path: Path, *arguments: str | Path) -> tuple[Ran, dict[str, object]]:
    model = _model(tmp_path / "perceptron.onnx")
    ran = vtool("optimize", model, "-o", tmp_path / "out", "--json", "-", *arguments)
    assert ran.code == 0, ran.err
    return ran, json.loads(ran.out)


def test_an_error_limit_alone_makes_a_package_that_keeps_it(tmp_path: Path) -> None:
    _, report = _optimized(tmp_path, "--error", "0.02")
    package = (tmp_path / "out" / "perceptron.vtm").read_bytes()
    before = onnxruntime.InferenceSession((tmp_path / "perceptron.onnx").read_bytes())
    after = onnxruntime.InferenceSession(materialize(package))
    x = np.random.default_rng(9).standard_normal((200, WIDTH), np.float32)
    expected, observed = (s.run(None, {"x": x})[0] for s in (before, after))
    error = np.sqrt(np.mean((expected - observed) ** 2) / np.mean(expected**2))
    assert 0.004 < error < 0.05  # white noise is harder than the probes; still of that size
    assert len(package) < 0.5 * (tmp_path / "perceptron.onnx").stat().st_size
    [verdict] = report["verdicts"]  # type: ignore[misc]  # JSON
    assert (verdict["measure"], verdict["state"]) == ("task.perceptron.error", "met")


def test_a_looser_limit_gives_fewer_bytes(tmp_path: Path) -> None:
    sizes = []
    for name, limit in (("tight", "0.005"), ("loose", "0.1")):
        (tmp_path / name).mkdir()
        _optimized(tmp_path / name, "--error", limit)
        sizes.append((tmp_path / name / "out" / "perceptron.vtm").stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_without_a_limit_nothing_is_lost(tmp_path: Path) -> None:
    _, report = _optimized(tmp_path)
    assert report["models"] == []
    before = (tmp_path / "perceptron.onnx").read_bytes()
    assert (tmp_path / "out" / "perceptron.onnx").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--task", "unknown"), 2, ("limit",)),
        (("--task", "singing"), 2, ("singing", "vad")),
        (("--task", "vad"), 2, ("audio",)),
        (("--task", "embedding", "--data", "nowhere"), 2, ("nowhere",)),
        (("--error", "0.01", "--data", "."), 2, ("--data", "--task")),
        (("--error", "inf"), 2, ("inf",)),
        (("--error", "0.01", "--target", "toaster"), 2, ("toaster", "native-cpu")),
        (("--error", "-1"), 2, ("error",)),
        (("--agreement", "0.97"), 2, ("--agreement", "--task")),
        (("--error", "0.1", "--task-option", "seed"), 2, ("NAME=VALUE", "seed")),
        (("--error", "0.1", "--task-option", "sead=1"), 2, ("unknown key", "sead")),
        (("--error", "0.1", "--task-option", "seed=much"), 2, ("seed", "much")),
    ],
    ids=[
        "no-limit",
        "family",
        "no-data",
        "data",
        "data-without-task",
        "infinite",
        "target",
        "negative",
        "no-task",
        "cut",
        "misspelt",
        "type",
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    model = _model(tmp_path / "m.onnx")
    vtool("optimize", model, "-o", tmp_path / "out", *arguments).refuses(code, *words)
    assert not (tmp_path / "out").exists()


def test_weights_in_a_file_beside_the_model_are_found_and_travel_with_it(tmp_path: Path) -> None:
    loaded = onnx.load(_model(tmp_path / "plain.onnx"))
    home = tmp_path / "apart"
    home.mkdir()
    onnx.save(
        loaded, home / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0
    )
    vtool("optimize", home / "m.onnx", "-o", tmp_path / "out", "--error", "0.02")
    package = (tmp_path / "out" / "m.vtm").read_bytes()
    assert len(package) < 0.5 * (home / "m.data").stat().st_size
    assert not (tmp_path / "out" / "m.data").exists()
    x = np.random.default_rng(9).standard_normal((20, WIDTH), np.float32)
    sessions = [onnxruntime.InferenceSession(m) for m in (home / "m.onnx", materialize(package))]
    expected, observed = (s.run(None, {"x": x})[0] for s in sessions)
    assert np.abs(expected - observed).max() < 0.1 * np.abs(expected).max()
    (home / "m.data").unlink()
    ran = vtool("optimize", home / "m.onnx", "-o", tmp_path / "other", "--error", "0.02")
    ran.refuses(3, "m.onnx", "m.data")


def test_a_model_that_every_step_together_makes_larger_stays_as_it_came(tmp_path: Path) -> None:
    model = tmp_path / "tiny.gguf"
    tiny = tiny_gguf.llama(hidden=256, inner=256, kinds={"*": "Q2_K"})
    model.write_bytes(tiny_gguf.written(*tiny))
    ran = vtool("optimize", model, "-o", tmp_path / "out", "--json", tmp_path / "r.json")
    assert ran.code == 0
    assert (tmp_path / "out" / "tiny.gguf").read_bytes() == model.read_bytes()
    [note] = json.loads((tmp_path / "r.json").read_text("utf-8"))["notes"]
    assert note.startswith("left as it came: import-gguf")


def test_files_of_one_name_and_other_content_are_refused(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0001.wav").write_text(folder)
    model = _model(tmp_path / "m.onnx")
    data = ("--data", tmp_path / "a", "--data", tmp_path / "b")
    ran = vtool("optimize", model, "-o", tmp_path / "out", "--task", "embedding", *data)
    ran.refuses(2, "0001.wav", "common folder")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no model")
    vtool("optimize", text, "-o", tmp_path / "out", "--error", "0.1").refuses(2, "vtool.toml")


def test_a_cut_model_is_named(tmp_path: Path) -> None:
    model = _model(tmp_path / "m.onnx")
    model.write_bytes(model.read_bytes()[:-100])
    vtool("optimize", model, "-o", tmp_path / "out", "--error", "0.1").refuses(3, "m.onnx")
    assert not (tmp_path / "out").exists()


def test_a_model_that_no_runtime_runs_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    model = onnx.load(_model(tmp_path / "odd.onnx"))
    model.graph.node[1].op_type = "Sing"
    onnx.save(model, tmp_path / "odd.onnx")
    ran = vtool("optimize", tmp_path / "odd.onnx", "-o", tmp_path / "out", "--error", "0.1")
    ran.refuses(3, "odd.onnx", "Sing")
    assert not (tmp_path / "out").exists()
