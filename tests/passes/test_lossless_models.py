"""The lossless passes on real models, and on models that nobody should have made."""

from __future__ import annotations

import mmap
from functools import cache

import numpy as np
import pytest
import real
from onnx import TensorProto, helper, numpy_helper, parser

from toolchain.errors import InputError, UnusableError, VtoolError
from toolchain.formats import onnx_model
from toolchain.formats.ort_to_onnx import to_onnx
from toolchain.passes.base import ArtifactPass, make_pass
from toolchain.verify import same_numbers

PASSES = ("share-tensors", "store-fp16-exact", "fold-constants", "drop-unused")
ADD = "main (float[2] x) => (float[2] y) { h = Add (x, w) y = Add (h, v) }"


def rewrite(name: str, data: bytes, **options: object) -> bytes:
    made = make_pass(name, options)
    assert isinstance(made, ArtifactPass)
    return made.rewrite(data)


@cache
def silero() -> bytes:
    return real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx").read_bytes()


@cache
def legacy() -> bytes:
    """Return a model with two networks, each in a branch, that share most of their weights."""
    name = "dist/silero_vad_legacy.onnx"
    return real.file("npm:@ricky0123/vad-web@0.0.31", name).read_bytes()


def test_moonshines_embedding_is_not_stored_twice() -> None:
    name = "moonshine_voice/assets/tiny-en/decoder_model_merged.ort"
    ort = real.file("pypi:moonshine-voice==0.0.73", name)
    before = onnx_model.serialized(to_onnx(ort.read_bytes()))
    after = rewrite("share-tensors", before)
    assert len(before) - len(after) > 32_768 * 288
    model = onnx_model.load(after)
    large = {t.name for t in onnx_model.tensors(model) if t.ByteSize() > 1_000_000}
    turned = [n for n in onnx_model.nodes(model) if n.op_type == "Transpose"]
    assert not [n for n in turned if large.intersection(n.input)], "a copy in memory"
    proof = same_numbers.prove(before, after, {})
    assert proof.holds, proof.detail
    assert "2 choices of branches" in proof.detail
    assert "24 states" in proof.detail
    assert rewrite("share-tensors", after) is after


@pytest.mark.parametrize(
    ("name", "model", "least_saved"),
    [
        ("share-tensors", legacy, 797_000),
        ("share-tensors", silero, 45_000),
        ("fold-constants", silero, 75_000),
        ("fold-constants", legacy, 797_000),
    ],
)
def test_two_networks_in_one_file_share_what_is_equal(
    name: str, model: object, least_saved: int
) -> None:
    assert callable(model)
    before: bytes = model()
    after = rewrite(name, before)
    assert len(before) - len(after) >= least_saved
    proof = same_numbers.prove(before, after, {})
    assert proof.holds, proof.detail
    assert "2 choices of branches" in proof.detail
    assert rewrite(name, after) == after


def test_silero_in_half_precision_numbers_is_half_as_large_and_no_bit_is_lost() -> None:
    model = onnx_model.load(silero())
    for tensor in onnx_model.tensors(model):
        if tensor.data_type == TensorProto.FLOAT:
            exact = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(exact, tensor.name))
    before = onnx_model.serialized(model)
    after = rewrite("store-fp16-exact", before)
    assert len(after) < 0.55 * len(before)
    proof = same_numbers.prove(before, after, {})
    assert proof.holds, proof.detail
    assert rewrite("store-fp16-exact", after) is after
    assert len(rewrite("fold-constants", after)) <= len(after)
    assert rewrite("store-fp16-exact", silero()) == silero()


def test_shapes_that_the_runtime_fuses_by_are_not_left_out() -> None:
    """Without them onnxruntime fuses hibari otherwise; a duration flips, then all is other."""
    data = real.file("pypi:hibari-tts==0.2.1", "hibari/assets/hibari.onnx").read_bytes()
    without = onnx_model.load(data)
    del without.graph.value_info[:]
    sizes = {"shapes": {"ids": (1, 16)}}
    proof = same_numbers.prove(data, onnx_model.serialized(without), sizes)
    assert not proof.holds
    assert "largest difference" in proof.detail
    kept = onnx_model.load(rewrite("fold-constants", data))
    assert len(kept.graph.value_info) > 300
    assert same_numbers.prove(data, onnx_model.serialized(kept), sizes).holds


def model(text: str, *tensors: TensorProto, opset: int = 17, ir: int = 8) -> bytes:
    parsed = parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}]> {text}')
    parsed.graph.initializer.extend(tensors)
    return onnx_model.serialized(parsed)


def stored(name: str, *numbers: float) -> TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.float32), name)


STRANGE = {
    "numbers that are none": model(
        ADD, stored("w", np.nan, np.inf), stored("v", np.nan, np.inf), stored("left", 1, 2)
    ),
    "weights without numbers": model(
        "main (float[2] x) => (float[2] y) { y = Concat <axis = 0> (x, w, v) }",
        stored("w"),
        stored("v"),
        stored("left", 1, 2),
    ),
    "four bits a number": model(
        """main (float[3] x) => (float[3] y) {
           d = DequantizeLinear (q, s) e = DequantizeLinear (r, s)
           f = Add (d, e) y = Add (x, f) }""",
        helper.make_tensor("q", TensorProto.INT4, [3], [1, -2, 3]),
        helper.make_tensor("r", TensorProto.INT4, [3], [1, -2, 3]),
        helper.make_tensor("left", TensorProto.INT4, [3], [3, 2, 1]),
        numpy_helper.from_array(np.float32(0.5), "s"),
        opset=21,
        ir=10,
    ),
    "initializers that are inputs": model(
        ADD.replace("x)", "x, float[2] w, float[2] v, float[2] left)"),
        stored("w", 1, 2),
        stored("v", 1, 2),
        stored("left", 3, 4),
        opset=7,
        ir=3,
    ),
}


@pytest.mark.parametrize("case", STRANGE)
@pytest.mark.parametrize("name", PASSES)
def test_what_is_strange_but_allowed_keeps_its_numbers(name: str, case: str) -> None:
    options = {"least_bytes": 0} if name in {"share-tensors", "store-fp16-exact"} else {}
    before = STRANGE[case]
    after = rewrite(name, before, **options)
    proof = same_numbers.prove(before, after, options)
    assert proof.holds, proof.detail
    if name == "share-tensors":
        assert len(after) < len(before)


def external() -> bytes:
    broken = onnx_model.load(model(ADD, stored("w", 1, 2), stored("v", 1, 2)))
    tensor = broken.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")
    return onnx_model.serialized(broken)


REFUSED = {
    "circle": (
        model("main (float[2] x) => (float[2] y) { a = Add (x, b) b = Add (a, x) y = Neg (b) }"),
        "acyclic",
    ),
    "two of one name": (
        model(ADD, stored("w", 1, 2), stored("w", 3, 4), stored("v", 1, 2)),
        "2 weights of the graph 'main' are called 'w'",
    ),
    "other file": (external(), r"'w' lie in another file, '\.\./weights\.bin'"),
    "too few numbers": (
        model(ADD, TensorProto(name="w", data_type=1, dims=[5], raw_data=b"1234")),
        "cannot load",
    ),
    "less than no numbers": (
        model(ADD, stored("v", 1, 2), TensorProto(name="w", data_type=1, dims=[-5])),
        "cannot load",
    ),
    "type of the future": (
        model(ADD, stored("v", 1, 2), TensorProto(name="w", data_type=99, dims=[2])),
        "cannot load",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", PASSES)
def test_what_is_not_allowed_is_refused_with_a_hint(name: str, case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        rewrite(name, data, **({"least_bytes": 0} if name == "share-tensors" else {}))
    assert caught.value.hint


def test_an_operator_that_nobody_has_ends_in_words() -> None:
    text = "main (float[2] x) => (float[2] y) { y = com.acme.Twist (x) }"
    data = model(text)
    for name in PASSES:
        with pytest.raises(UnusableError) as caught:
            rewrite(name, data)
        assert isinstance(caught.value, VtoolError)
        assert "Twist" in str(caught.value) or "com.acme" in str(caught.value)


def test_a_model_beyond_protobufs_limit_is_told_apart_from_a_broken_one() -> None:
    with (
        mmap.mmap(-1, 2**31) as sparse,  # not one page of it is ever touched
        pytest.raises(InputError, match="2147483648 bytes, more than can be read") as caught,
    ):
        onnx_model.load(sparse)  # type: ignore[arg-type]  # bytes that take no memory
    assert "external" in caught.value.hint
