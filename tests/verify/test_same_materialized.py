"""The proof of packages that lose nothing, and the pass that makes them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from toolchain.formats.materializer import materialize
from toolchain.formats.model_package import pack, unpack
from toolchain.passes.package_model import PackageModel
from toolchain.verify.same_materialized import prove

WIDTH = 96


def _model(values: np.ndarray) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(values, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def _int8_in_disguise() -> np.ndarray:
    codes = np.random.default_rng(5).integers(-127, 128, (WIDTH, WIDTH))
    return codes.astype(np.float32) * np.float32(0.0123)


def test_a_float_weight_that_was_int8_travels_as_its_codes() -> None:
    model = _model(_int8_in_disguise())
    package = PackageModel().rewrite(model)
    assert len(unpack(package).coded) == 1
    assert len(package) < 0.27 * len(model)
    assert materialize(package) == model


def test_a_negative_zero_keeps_its_sign() -> None:
    values = _int8_in_disguise()
    values[0, 0] = -0.0
    model = _model(values)
    package = PackageModel().rewrite(model)
    assert materialize(package) == model
    assert prove(model, package, {}).holds


def test_weights_on_no_grid_travel_exactly() -> None:
    model = _model(np.random.default_rng(6).standard_normal((WIDTH, WIDTH), np.float32))
    package = PackageModel().rewrite(model)
    assert not unpack(package).coded
    assert prove(model, package, {}).holds


def test_another_model_in_the_package_is_refused() -> None:
    model, other = _model(_int8_in_disguise()), _model(_int8_in_disguise() + 1)
    proof = prove(model, pack(other, {}), {})
    assert not proof.holds
    assert "not the" in proof.detail


def test_a_damaged_package_is_refused() -> None:
    model = _model(_int8_in_disguise())
    package = bytearray(PackageModel().rewrite(model))
    package[-20] ^= 1
    assert not prove(model, bytes(package), {}).holds
