"""The materializer in JavaScript makes the bytes that the one in Python makes, or refuses too."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import coded_models
import hostile
import numpy as np
import pytest
import real
from coded_models import Coded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats import materializer, onnx_model, package_header
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.compression import Codec
from toolchain.formats.model_package import Effort, pack
from toolchain.sources import tools

SCRIPT = Path(materializer.__file__).with_name("materialize.mjs")
TIMEOUT_S = 120

# For each package of the folder: the model beside it, or the error it throws
RUNNER = """
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
const { materialize } = await import(process.argv[1]);
const folder = process.argv[2];
for (const name of readdirSync(folder).filter((name) => name.endsWith(".vtm"))) {
  const at = `${folder}/${name}`;
  try {
    writeFileSync(`${at}.onnx`, await materialize(new Uint8Array(readFileSync(at))));
  } catch (error) {
    writeFileSync(`${at}.json`, JSON.stringify(`${error}`));
  }
}
"""


def made_in_node(packages: list[bytes], folder: Path) -> list[bytes | str]:
    """Return what node makes of each package: a model or an error."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    paths = [folder / f"{i:04}.vtm" for i in range(len(packages))]
    for path, package in zip(paths, packages, strict=True):
        path.write_bytes(package)
    subprocess.run(
        [tools.node(), "--input-type=module", "-e", RUNNER, SCRIPT.as_uri(), folder],
        check=True,
        timeout=TIMEOUT_S,
        capture_output=True,
    )
    return [
        model.read_bytes()
        if (model := Path(f"{path}.onnx")).exists()
        else str(json.loads(Path(f"{path}.json").read_text("utf-8")))
        for path in paths
    ]


@given(st.lists(coded_models.coded_models(), min_size=20, max_size=30))
@settings(
    max_examples=8,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
def test_both_make_the_same_bytes(tmp_path: Path, cases: list[Coded]) -> None:
    packages = []
    for case in cases:
        try:
            packages.append(pack(case.model, case.tensors, effort=Effort.FAST))
        except ValueError as error:
            assert "finite" in str(error) or "overflow" in str(error)  # noqa: PT017 - a drawn case
    wanted = [materializer.materialize(package) for package in packages]
    assert made_in_node(packages, tmp_path / "packages") == wanted


def test_every_half_and_every_tie_is_rounded_alike(tmp_path: Path) -> None:
    codes = np.arange(-32768, 32768, dtype=np.int16)
    cases = []
    for dtype, step in [
        ("float16", 2.0**-25), ("float16", 2.0**-10), ("float16", 2.0**-11), ("float16", 2.1),
        ("int8", 0.5), ("uint8", 0.25), ("int16", 1.5), ("uint16", 2.5), ("float32", 1e-41),
    ]:  # fmt: skip
        tensor = CodedTensor(codes, codes.shape, dtype, (np.float32([step]),))
        model = coded_models.built([_zeros(tensor)])
        cases.append(pack(model, {0: tensor}, effort=Effort.FAST))
    wanted = [materializer.materialize(package) for package in cases]
    assert made_in_node(cases, tmp_path / "packages") == wanted


def test_real_models_are_the_same(tmp_path: Path) -> None:
    packages = []
    for package, member in [
        ("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx"),
        ("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx"),
    ]:
        model = real.file(package, member).read_bytes()
        packages += [pack(model, {}, effort=Effort.FAST), _rounded(model)]
    wanted = [materializer.materialize(package) for package in packages]
    assert made_in_node(packages, tmp_path / "packages") == wanted


def test_damaged_packages_are_refused_by_both(tmp_path: Path) -> None:
    tensor = CodedTensor(
        np.random.default_rng(1).integers(-7, 8, (64, 40)).astype(np.int8),
        (64, 40),
        "float32",
        (np.float32([0.1]),),
    )
    package = pack(coded_models.built([_zeros(tensor)]), {0: tensor}, effort=Effort.FAST)
    whole = materializer.materialize(package)
    damaged = [
        *hostile.flips(package, 60),
        *hostile.overwrites(package, 60),
        *(package[:size] for size in range(0, len(package), 53)),
        package + b"\0",
    ]
    for data, made in zip(damaged, made_in_node(damaged, tmp_path / "packages"), strict=True):
        try:
            assert materializer.materialize(data) == whole == made
        except FormatError:
            assert isinstance(made, str), "Python refused what JavaScript took"


def test_another_model_than_the_promised_one_is_refused(tmp_path: Path) -> None:
    package = pack(coded_models.built([]), {}, effort=Effort.FAST)
    opened = package_header.read(package)
    lie = package_header.written(replace(opened.header, model="0" * 64))
    data = lie + package[opened.starts[0] :]
    with pytest.raises(FormatError, match="not the one"):
        materializer.materialize(data)
    (made,) = made_in_node([data], tmp_path / "packages")
    assert made == "Error: the model is not the one that the package promises"


def test_a_runtime_without_zstd_says_so(tmp_path: Path) -> None:
    model = coded_models.built([_zeros(CodedTensor(np.zeros(9999, np.int8), (9999,), "float32"))])
    package = pack(model, {}, effort=Effort.FAST, codecs=(Codec.ZSTD,))
    (made,) = made_in_node([package], tmp_path / "packages")
    assert made in {model, "Error: this runtime cannot decompress zstd"}


def _zeros(tensor: CodedTensor) -> coded_models.TensorProto:
    zeros = np.zeros(tensor.shape, tensor.dtype)
    return coded_models.numpy_helper.from_array(zeros, "w")


def _rounded(model: bytes) -> bytes:
    """Return a package with every large float32 tensor on a grid of 31 levels a row."""
    coded = {}
    for position, tensor in enumerate(onnx_model.tensors(onnx_model.load(model))):
        numbers = coded_models.numpy_helper.to_array(tensor)
        if numbers.dtype != np.float32 or numbers.size < 1000:
            continue
        axes = tuple(range(1, numbers.ndim))
        step = np.maximum(np.abs(numbers).max(axis=axes, keepdims=True) / np.float32(15), 1e-6)
        codes = np.rint(numbers / step).astype(np.int8)
        coded[position] = CodedTensor(codes, numbers.shape, "float32", (step.astype(np.float32),))
    assert coded
    return pack(model, coded, effort=Effort.FAST)


@pytest.mark.parametrize("word", ["require(", "Buffer.", "process."])
def test_the_script_needs_nothing_that_browsers_lack(word: str) -> None:
    assert word not in SCRIPT.read_text("utf-8")


def test_a_page_brings_its_own_decompression(tmp_path: Path) -> None:
    model = coded_models.built([_zeros(CodedTensor(np.zeros(9999, np.int8), (9999,), "float32"))])
    package, out = tmp_path / "m.vtm", tmp_path / "m.onnx"
    package.write_bytes(pack(model, {}, effort=Effort.FAST))
    script = """
    import { readFileSync, writeFileSync } from "node:fs";
    import { brotliDecompressSync } from "node:zlib";
    const { materialize } = await import(process.argv[1]);
    const asked = [];
    const decompress = async (codec, bytes, size) => {
      asked.push([codec, size]);
      return new Uint8Array(brotliDecompressSync(bytes));
    };
    const file = new Uint8Array(readFileSync(process.argv[2]));
    writeFileSync(process.argv[3], await materialize(file, { decompress }));
    console.log(JSON.stringify(asked));
    """
    done = subprocess.run(
        [tools.node(), "--input-type=module", "-e", script, SCRIPT.as_uri(), package, out],
        check=True,
        timeout=TIMEOUT_S,
        capture_output=True,
    )
    assert out.read_bytes() == model
    asked = json.loads(done.stdout)
    assert {codec for codec, _ in asked} == {"br"}
    assert asked[-1] == ["br", 9999 * 4]
