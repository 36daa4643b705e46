"""What weights are multiplied with is added up as the operators see it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tiny_weights as tiny
from numpy.typing import NDArray

from toolchain.formats import onnx_model
from toolchain.formats.onnx_exposed import constants, exposed
from toolchain.formats.onnx_runner import Array, open_runner
from toolchain.formats.onnx_uses import Source
from toolchain.formats.onnx_weights import weights
from toolchain.quantization.activations import Collector

RNG = np.random.default_rng(11)


def collected(data: bytes, name: str, feeds: Mapping[str, Array]) -> NDArray[np.float64]:
    """Return the moments of the inputs of the weight ``name`` after one run."""
    weight = next(w for w in weights(onnx_model.load(data), 1) if w.name == name)
    source = weight.uses[0].source
    assert source is not None
    values = {v for v in (source.value, source.zero_point, source.initial) if v}
    runner = open_runner(exposed(data, values))
    shown = open_runner(data).outputs
    collector = Collector(runner, shown, [source], constants(data, values))
    assert tuple(collector.run(feeds)) == shown
    return collector.moments()[source]


def test_integers_count_from_their_zero_point() -> None:
    data = tiny.model(
        "main (uint8[1, n, 24] x) => (int32[1, n, 32] y) { y = MatMulInteger (x, w, z) }",
        w=tiny.integers(24, 32),
        z=np.array(100, np.uint8),
    )
    x = RNG.integers(0, 255, (1, 7, 24)).astype(np.uint8)
    rows = x[0].astype(np.float64) - 100
    assert np.allclose(collected(data, "w", {"x": x})[0], rows.T @ rows / 7)


def test_a_recurrent_weight_sees_the_state_before_each_step() -> None:
    data = tiny.lstm()
    feeds = {
        "x": RNG.standard_normal((5, 1, 6)).astype(np.float32),
        "h0": RNG.standard_normal((1, 1, 8)).astype(np.float32),
        "c0": np.zeros((1, 1, 8), np.float32),
    }
    y = open_runner(data).run(feeds)["y"].reshape(5, 8).astype(np.float64)
    before = np.concatenate((feeds["h0"].reshape(1, 8), y[:-1]))
    assert np.allclose(collected(data, "r", feeds)[0], before.T @ before / 5, rtol=1e-4)
    x = feeds["x"].reshape(5, 6).astype(np.float64)
    assert np.allclose(collected(data, "w", feeds)[0], x.T @ x / 5, rtol=1e-4)


def test_a_convolution_that_goes_up_adds_up_channels() -> None:
    x = RNG.standard_normal((1, 8, 64)).astype(np.float32)
    data = tiny.conv()
    r = open_runner(exposed(data, ["r"])).run({"x": x})["r"][0].astype(np.float64)
    wanted = r @ r.T / r.shape[1]
    assert np.allclose(collected(data, "v", {"x": x})[0], wanted, rtol=1e-4)


def test_many_rows_of_one_run_are_thinned_out_evenly() -> None:
    x = np.repeat(np.float32([[1.0], [3.0]]), 2000, axis=0) * np.ones(24, np.float32)
    moments = collected(tiny.gemm(), "w", {"x": x})
    assert np.allclose(moments, 5.0, rtol=0.01)  # the mean of 1 and 9


def test_a_source_that_is_not_there_is_not_seen() -> None:
    runner = open_runner(tiny.gemm())
    collector = Collector(runner, runner.outputs, [Source("nowhere", "last")])
    collector.run({"x": np.ones((2, 24), np.float32)})
    assert collector.moments() == {}


def test_what_is_not_finite_is_left_out() -> None:
    runner = open_runner(tiny.gemm())
    collector = Collector(runner, runner.outputs, [Source("x", "last")])
    collector.run({"x": np.full((2, 24), np.nan, np.float32)})
    collector.run({"x": np.ones((2, 24), np.float32)})
    (moments,) = collector.moments().values()
    assert np.array_equal(moments, np.ones((1, 24, 24)))
