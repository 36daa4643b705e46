"""``vtool materialize`` on the real command line."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import coded_models
import numpy as np
import onnxruntime
import pytest
from cli.project import vtool
from onnx import TensorProto, helper, numpy_helper

from toolchain.formats import onnx_model
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.execution_format import applied
from toolchain.formats.model_package import Effort, pack

WEIGHTS = np.random.default_rng(1).normal(0, 1, (64, 40)).astype(np.float32)
MODEL = coded_models.built([numpy_helper.from_array(WEIGHTS, "w")])
PACKAGE = pack(MODEL, {}, effort=Effort.FAST)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "m.vtm"
    path.write_bytes(PACKAGE)
    return path


def test_the_model_is_written_and_described(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "m.onnx"
    out.parent.mkdir()
    ran = vtool("materialize", package, "-o", out)
    assert (ran.code, out.read_bytes()) == (0, MODEL)
    assert hashlib.sha256(MODEL).hexdigest() in ran.out
    assert [p.name for p in out.parent.iterdir()] == ["m.onnx"]


def test_json_says_what_was_written(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    ran = vtool("materialize", package, "-o", out, "--json", "-")
    assert json.loads(ran.out) == {
        "package": str(package),
        "model": str(out),
        "format": "folded",
        "size": len(MODEL),
        "sha256": hashlib.sha256(MODEL).hexdigest(),
    }


def test_another_format_is_what_that_format_makes_of_the_model(tmp_path: Path) -> None:
    tensor = CodedTensor(
        np.rint(WEIGHTS * 4).astype(np.int8), (64, 40), "float32", (np.float32([0.25]),)
    )
    path, out = tmp_path / "m.vtm", tmp_path / "m.onnx"
    path.write_bytes(
        pack(MODEL, {0: tensor}, effort=Effort.FAST, formats=("folded", "fp16-storage"))
    )
    assert vtool("materialize", path, "-o", tmp_path / "folded.onnx").code == 0
    assert vtool("materialize", path, "-o", out, "--format", "fp16-storage").code == 0
    assert out.read_bytes() == applied((tmp_path / "folded.onnx").read_bytes(), "fp16-storage")


def test_a_format_that_passed_no_guard_is_refused(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    vtool("materialize", package, "-o", out, "--format", "fp16-storage").refuses(
        2, "fp16-storage", "folded"
    )
    assert not out.exists()


def test_a_damaged_package_leaves_the_old_model(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    out.write_bytes(b"old")
    damaged = bytearray(PACKAGE)
    damaged[-9] ^= 1
    package.write_bytes(damaged)
    vtool("materialize", package, "-o", out).refuses(3, "damaged chunk", "at byte")
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.vtm"]


def test_what_is_no_package_is_refused(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    vtool("materialize", tmp_path / "none.vtm", "-o", out).refuses(2, "no file")
    vtool("materialize", tmp_path, "-o", out).refuses(2, "no file")
    os.mkfifo(tmp_path / "pipe")
    vtool("materialize", tmp_path / "pipe", "-o", out).refuses(2, "no file")
    (tmp_path / "m.txt").write_text("once upon a time", "utf-8")
    vtool("materialize", tmp_path / "m.txt", "-o", out).refuses(3, "no model package", "byte 0")
    vtool("materialize", package, "-o", package).refuses(2, "the package itself")
    assert package.read_bytes() == PACKAGE


def test_a_full_disk_leaves_nothing(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    vtool("materialize", package, "-o", out, file_limit=4096).refuses(4, "cannot write")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.vtm"]


def _product() -> bytes:
    """Return a model of one product, x w."""
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", size])
        for n, size in (("x", 64), ("y", 40))
    ]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", ports[:1], ports[1:], [numpy_helper.from_array(WEIGHTS, "w")]
    )
    opset = helper.make_opsetid("", 17)
    return onnx_model.serialized(helper.make_model(graph, opset_imports=[opset], ir_version=8))


def _manifest(folder: Path, **formats: dict[str, str]) -> Path:
    """Write a package and the manifest of a result that names it; return the package."""
    (folder / "models").mkdir()
    path = folder / "models" / "m.vtm"
    path.write_bytes(pack(_product(), {}, effort=Effort.FAST))
    rows = [{"id": "models/m.vtm", "formats": formats}]
    (folder / "vtool-manifest.json").write_text(json.dumps({"files": rows}), "utf-8")
    return path


def test_what_was_chosen_for_a_target_is_made(tmp_path: Path) -> None:
    path = _manifest(tmp_path, **{"native-cpu": {"format": "folded", "setting": "ahead"}})
    out = tmp_path / "installed" / "m.onnx"
    out.parent.mkdir()
    ran = vtool("materialize", path, "-o", out, "--target", "native-cpu", "--json", "-")
    said = json.loads(ran.out)
    assert (said["format"], said["setting"]) == ("folded", "ahead")
    assert said["session"] == {"graph_optimization_level": "disabled", "enable_mem_pattern": False}
    assert sorted(p.name for p in out.parent.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert sorted(said["files"]) == sorted(str(p) for p in out.parent.iterdir())
    x = np.ones((2, 64), np.float32)
    sessions = [onnxruntime.InferenceSession(m) for m in (_product(), out)]
    expected, observed = (s.run(None, {"x": x})[0] for s in sessions)
    np.testing.assert_array_equal(expected, observed)


def test_a_target_that_nobody_chose_for_stores_the_model_as_usual(tmp_path: Path) -> None:
    path, out = _manifest(tmp_path), tmp_path / "m.onnx"
    ran = vtool("materialize", path, "-o", out, "--target", "web-wasm")
    assert (ran.code, out.read_bytes()) == (0, _product())
    assert "session options: as usual" in ran.out
    assert "note: no vtool-manifest.json" in ran.out
    said = vtool("materialize", path, "-o", out, "--target", "web-wasm", "--setting", "as usual")
    assert "note:" not in said.out
    vtool("materialize", path, "-o", out, "--setting", "ahead").refuses(2, "--target")
    vtool("materialize", path, "-o", out, "--target", "phone").refuses(2, "phone", "web-wasm")
    wrong = ("--target", "web-wasm", "--setting", "fast")
    vtool("materialize", path, "-o", out, *wrong).refuses(2, "fast", "as usual")
