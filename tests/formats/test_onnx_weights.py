"""Weights are found wherever they lie, can be inputs, and can be filled anew."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import tiny_weights as tiny
from onnx import helper, numpy_helper

from toolchain.formats import onnx_model
from toolchain.formats.onnx_exposed import constants, exposed
from toolchain.formats.onnx_runner import Array, SessionRunner, open_runner
from toolchain.formats.onnx_switches import decided, switches
from toolchain.formats.onnx_weights import Weight, weights, with_inputs, with_values

every_kind = pytest.mark.parametrize("kind", list(tiny.EVERY_KIND))


def found_in(data: bytes, least: int = 32) -> list[Weight]:
    return weights(onnx_model.load(data), least)


def feeds_of(runner: SessionRunner) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    values: dict[str, Array] = {}
    for port in runner.inputs:
        shape = [size if isinstance(size, int) else 5 for size in port.shape]
        if port.type == "tensor(int64)":
            values[port.name] = rng.integers(0, 12, shape)
        elif port.type == "tensor(bool)":
            values[port.name] = np.ones(shape, np.bool_)
        else:
            values[port.name] = rng.standard_normal(shape).astype(np.float32)
    return values


@every_kind
def test_a_weight_has_the_place_and_the_values_of_its_tensor(kind: str) -> None:
    model = onnx_model.load(tiny.EVERY_KIND[kind]())
    tensors = list(onnx_model.tensors(model))
    found = weights(model, 32)
    assert found
    for weight in found:
        assert np.array_equal(weight.values, numpy_helper.to_array(tensors[weight.index]))


@every_kind
def test_weights_as_inputs_change_no_bit(kind: str) -> None:
    data = tiny.EVERY_KIND[kind]()
    found = found_in(data)
    changed, names = with_inputs(data, [w.index for w in found])
    assert not weights(onnx_model.load(changed), 32)
    plain, fed = open_runner(data), open_runner(changed)
    feeds = feeds_of(plain)
    more = {names[w.index]: w.values for w in found}
    for name, answer in plain.run(feeds).items():
        assert np.allclose(fed.run({**feeds, **more})[name], answer, rtol=1e-5, atol=1e-5)


@every_kind
def test_each_weight_that_is_filled_anew_is_the_one_that_changes(kind: str) -> None:
    data = tiny.EVERY_KIND[kind]()
    for weight in found_in(data):
        other = np.flip(weight.values).copy()
        after = with_values(data, {weight.index: other})
        onnx.checker.check_model(onnx_model.load(after))
        for now, before in zip(found_in(after), found_in(data), strict=True):
            wanted = other if now.index == weight.index else before.values
            assert np.array_equal(now.values, wanted)


def test_filling_with_another_shape_is_refused() -> None:
    data = tiny.matmul()
    (weight,) = (w for w in found_in(data) if w.name == "w")
    with pytest.raises(ValueError, match="is no w"):
        with_values(data, {weight.index: weight.values.T.copy()})


def test_branches_with_equal_names_keep_their_own_weights() -> None:
    found = {w.key: w for w in found_in(tiny.branches())}
    assert sorted(found) == [("v", 0), ("v", 1), ("w", 0)]
    assert not np.array_equal(found["v", 0].values, found["v", 1].values)


@pytest.mark.parametrize(
    ("kind", "name", "sizes", "source"),
    [
        ("matmul", "w", (1, 16, 24), "last"),
        ("gemm", "v", (1, 12, 16), "last"),
        ("conv", "w", (2, 6, 12), "window"),
        ("conv", "v", (1, 24, 12), "channels"),
        ("lstm", "w", (1, 32, 6), "input"),
        ("lstm", "r", (1, 32, 8), "hidden"),
        ("embedding", "w", (1, 40, 12), None),
        ("embedding", "v", (1, 10, 12), "last"),
        ("int8", "w", (1, 32, 24), "last"),
        ("branches", "v", (1, 24, 16), None),
    ],
)
def test_readers_say_which_matrices_a_weight_is(
    kind: str, name: str, sizes: tuple[int, int, int], source: str | None
) -> None:
    weight = next(w for w in found_in(tiny.EVERY_KIND[kind]()) if w.name == name)
    (use,) = weight.uses
    assert use.layout.sizes == sizes
    assert (use.source.kind if use.source else None) == source


def test_integers_are_multiplied_with_what_was_rounded_and_not_with_integers() -> None:
    weight = next(w for w in found_in(tiny.integer_matmul()) if w.name == "w")
    (use,) = weight.uses
    assert use.source is not None
    assert use.source.value == "x"


def test_packed_bits_are_no_numbers() -> None:
    data = tiny.model(
        "main (float[1, 32] x) => (float[1, 8] y)"
        " { y = com.microsoft.MatMulNBits <K: int = 32, N: int = 8, bits: int = 4,"
        " block_size: int = 32> (x, w, s) }",
        w=tiny.integers(8, 1, 16, dtype="uint8"),
        s=tiny.noise(8),
    )
    assert [w.name for w in found_in(data, 1)] == ["s"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_stays_alone(bad: float) -> None:
    values = tiny.noise(24, 16)
    values[3, 3] = bad
    data = with_values(tiny.matmul(), {0: values})
    assert [w.name for w in found_in(data, 1)] == ["b"]


def test_outputs_and_unread_tensors_are_no_weights() -> None:
    model = onnx_model.load(tiny.matmul())
    model.graph.initializer.append(numpy_helper.from_array(tiny.noise(64), "unread"))
    model.graph.initializer.append(numpy_helper.from_array(tiny.noise(64), "shown"))
    model.graph.output.append(helper.make_tensor_value_info("shown", 1, [64]))
    assert {w.name for w in weights(model, 32)} == {"w"}


def test_values_inside_become_outputs_after_the_models_own() -> None:
    data = exposed(tiny.gemm(), ["r", "x", "w", "y", "nothing"])
    runner = open_runner(data)
    assert runner.outputs == ("y", "r")
    assert (runner.run(feeds_of(runner))["r"] >= 0).all()
    assert set(constants(tiny.gemm(), ["w", "r"])) == {"w"}


def test_a_decided_branch_answers_as_the_model_does() -> None:
    data = tiny.branches()
    assert switches(onnx_model.load(data)) == ("loud",)
    plain = open_runner(data)
    for loud in (False, True):
        feeds = {**feeds_of(plain), "loud": np.array([loud])}
        after = decided(data, {"loud": np.array([loud])})
        assert np.array_equal(open_runner(after).run(feeds)["y"], plain.run(feeds)["y"])
        assert "If" not in {node.op_type for node in onnx_model.nodes(onnx_model.load(after))}
