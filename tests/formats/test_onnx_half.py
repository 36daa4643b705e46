"""Numbers stored in two bytes come back bit for bit, or stay in four."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper, parser

from toolchain.formats.onnx_half import brain_half_of, half_of, with_half_weights
from toolchain.formats.onnx_model import serialized
from toolchain.formats.onnx_session import run, session

halves = st.integers(0, 2**16 - 1)  # every float16 and bfloat16 number, NaN and all
singles = st.integers(0, 2**32 - 1)  # every float32 number


def signalling(bits: np.ndarray) -> np.ndarray:
    """Return which float16 bits are signalling NaN, which processors make quiet."""
    return ((bits & 0x7C00) == 0x7C00) & ((bits & 0x3FF) != 0) & ((bits & 0x200) == 0)


@given(st.lists(halves, min_size=1))
def test_every_half_precision_number_is_found_and_comes_back(numbers: list[int]) -> None:
    bits = np.array(numbers, np.uint16)
    bits = bits[~signalling(bits)]
    found = half_of(bits.view(np.float16).astype(np.float32))
    assert found is not None
    np.testing.assert_array_equal(found, bits)


@given(st.lists(halves, min_size=1))
def test_every_brain_float_is_found_and_comes_back(numbers: list[int]) -> None:
    wide = np.array(numbers, np.uint32) << 16
    found = brain_half_of(wide.view(np.float32))
    assert found is not None
    np.testing.assert_array_equal(found.astype(np.uint32) << 16, wide)


@given(st.lists(singles, min_size=1))
def test_what_is_stored_in_two_bytes_has_the_same_bits_in_four(numbers: list[int]) -> None:
    bits = np.array(numbers, np.uint32)
    array = bits.view(np.float32)
    half, brain = half_of(array), brain_half_of(array)
    if half is not None:
        wide = half.view(np.float16).astype(np.float32)
        np.testing.assert_array_equal(wide.view(np.uint32), bits)
    if brain is not None:
        np.testing.assert_array_equal(brain.astype(np.uint32) << 16, bits)


def test_onnxruntime_widens_every_finite_half_to_the_same_number() -> None:
    """All 63,488 finite numbers, signs of zero and numbers below the normal ones too."""
    bits = np.arange(2**16, dtype=np.uint16)
    bits = bits[(bits & 0x7C00) != 0x7C00]
    wide = bits.view(np.float16).astype(np.float32)
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        main (int64[1] at) => (float[n] y) { w = Gather (all, at) y = Squeeze (w, at) }"""
    )
    model.graph.initializer.append(numpy_helper.from_array(wide[None], "all"))
    after = with_half_weights(model, least_bytes=0, bfloat16=False)
    assert after is not None
    assert [t.data_type for t in after.graph.initializer] == [TensorProto.FLOAT16]
    found = run(session(serialized(after)), {"at": np.array([0])})["y"]
    np.testing.assert_array_equal(found.view(np.uint32), wide.view(np.uint32))


def test_numbers_in_typed_fields_and_in_bytes_are_the_same_numbers() -> None:
    stored = "float[3] w = {0.5, 1, 2}"
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        main (float[3] x) => (float[3] y) <{stored}> {{ y = Add (x, w) }}"""
    typed, raw = parser.parse_model(text), parser.parse_model(text)
    tensor = raw.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), "w"))
    assert typed != raw
    for model in (typed, raw):
        assert with_half_weights(model, least_bytes=0, bfloat16=True) is model
    assert serialized(typed) == serialized(raw)
