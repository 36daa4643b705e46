"""What the graph learns about a model package."""

from __future__ import annotations

import hashlib

import coded_models
import hostile
import numpy as np
import pytest
import real
from coded_models import Coded
from hypothesis import given, settings
from onnx import numpy_helper

from toolchain.errors import FormatError
from toolchain.formats import package_header
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.materializer import materialize
from toolchain.formats.model_package import Effort, pack
from toolchain.formats.package_header import Chunk, Header
from toolchain.ingest import onnx, package
from toolchain.ingest.base import Contents
from toolchain.ir import Kind

WEIGHTS = np.random.default_rng(1).normal(0, 1, (64, 40)).astype(np.float32)
MODEL = coded_models.built(
    [
        numpy_helper.from_array(WEIGHTS, "coded"),
        numpy_helper.from_array(WEIGHTS + 1, "exact"),
        numpy_helper.from_array(WEIGHTS + 1, "twin"),
        numpy_helper.from_array(WEIGHTS[0], "small"),
        numpy_helper.from_array(WEIGHTS[1], "smaller"),
    ]
)
CODES = np.rint(WEIGHTS * 4).astype(np.int8)
TENSOR = CodedTensor(CODES, CODES.shape, "float32", (np.float32([0.25]),))
PACKAGE = pack(MODEL, {0: TENSOR}, effort=Effort.FAST, formats=("folded", "matmul-integer"))


def test_every_byte_has_one_owner_and_tensors_are_called_by_their_names() -> None:
    parts = package.read(memoryview(PACKAGE)).parts
    assert [(p.kind, p.name) for p in parts] == [
        (Kind.HEADER, "header"),
        (Kind.SECTION, "skeleton"),
        (Kind.TENSOR, "coded"),
        (Kind.TENSOR, "coded factors"),
        (Kind.TENSOR, "exact"),
        (Kind.SECTION, "2 small arrays"),
    ]
    _accounted(package.read(memoryview(PACKAGE)), PACKAGE)


def test_tensors_say_what_they_are_and_how_they_travel() -> None:
    facts = {p.name: dict(p.facts) for p in package.read(memoryview(PACKAGE)).parts}
    own = {"dtype": "float32", "shape": "[64, 40]", "read by": "nothing"}
    assert facts["coded"] == {**own, "travels": "int8[64, 40] codes"}
    assert facts["coded factors"] == {**own, "travels": "float16[1] factors"}
    assert facts["exact"] == {**own, "travels": "exact"}
    assert facts["skeleton"] == facts["2 small arrays"] == {}


def test_facts_say_how_it_travels_and_what_the_model_is() -> None:
    facts = dict(package.read(memoryview(PACKAGE)).facts)
    assert facts["formats"] == "folded, matmul-integer"
    assert facts["travels"] == "coded float32 1, exact 4"
    assert facts["model"] == f"{len(MODEL) / 1000:.1f} kB when materialized"
    assert facts["producer"] == "tests"
    assert facts["parameters"] == "7,760"


def test_a_packaged_model_has_the_facts_of_the_model() -> None:
    data = real.file(
        "pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx"
    ).read_bytes()
    packed = package.read(memoryview(pack(data, {}, effort=Effort.FAST)))
    facts = onnx.read(memoryview(data)).facts
    assert len(facts) > 5
    assert set(facts) <= set(packed.facts)


@given(coded_models.coded_models())
@settings(max_examples=40)
def test_all_packages_are_accounted_for_to_the_byte(case: Coded) -> None:
    exact = pack(case.model, {}, effort=Effort.FAST)
    _accounted(package.read(memoryview(exact)), exact)


def test_damaged_packages_are_refused_or_accounted_for() -> None:
    def read(data: bytes) -> Contents:
        return package.read(memoryview(data))

    end = package_header.read(PACKAGE).starts[1]
    assert hostile.refusals(read, hostile.flips(PACKAGE, 200, end=end), _accounted) > 150
    assert hostile.refusals(read, hostile.overwrites(PACKAGE, 200, end=end), _accounted) > 150


def test_a_skeleton_that_is_no_model_is_refused() -> None:
    junk = b"junk"
    digest = hashlib.sha256(junk).hexdigest()
    chunk = Chunk(codec=0, form=0, width=1, rows=1, size=4, encoded=4)
    data = package_header.written(Header((chunk,), digest, (), (), digest, 4)) + junk
    assert materialize(data) == junk
    with pytest.raises(FormatError):
        package.read(memoryview(data))


def _accounted(contents: Contents, data: bytes) -> None:
    at = 0
    for part in contents.parts:
        assert (part.offset, part.size > 0) == (at, True)
        at += part.size
    assert at == len(data)
    assert len({(p.kind, p.name) for p in contents.parts}) == len(contents.parts)
