"""same-answers holds for the same bits, and for nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_ort
from onnx import ModelProto, load_from_string, numpy_helper, parser

from toolchain.formats.ort_to_onnx import to_onnx
from toolchain.verify import same_answers

TEXT = """
<ir_version: 10, opset_import: ["" : 21]>
main (float[n, 4] x, bool cached, float[1, 4] state) => (float[n, 4] y, float[1, 4] state_out)
<float[4] w = {1, 2, 3, 4}> {
   state_out = Identity (state)
   s = Mul (x, w)
   y = If (cached) <
      then_branch = a () => (float[n, 4] p) <float[4] old = {9, 8, 7, 6}> { p = Mul (s, old) },
      else_branch = b () => (float[n, 4] q) <float[4] new = {5, 4, 3, 2}> { q = Mul (s, new) }
   >
}
"""


def sample() -> ModelProto:
    return parser.parse_model(TEXT)


def nudged(model: ModelProto, name: str) -> bytes:
    """Change the first number of a weight by its last bit."""
    graphs = [model.graph, *(a.g for n in model.graph.node for a in n.attribute if a.HasField("g"))]
    for tensor in (t for g in graphs for t in g.initializer if t.name == name):
        values = numpy_helper.to_array(tensor).copy()
        values[0] = np.nextafter(values[0], np.float32(np.inf))
        tensor.CopyFrom(numpy_helper.from_array(values, name))
    data: bytes = model.SerializeToString()
    return data


def test_the_same_model_holds_and_says_how_often_it_was_asked() -> None:
    data = sample().SerializeToString()
    proof = same_answers.prove(data, data, {})
    assert proof.holds
    assert "the same bits in 72 answers at 3 sizes" in proof.detail  # 12 frames, both branches
    assert "0.0e+00" in proof.detail


@pytest.mark.parametrize("name", ["w", "old", "new"])
def test_one_bit_in_any_weight_is_seen_in_either_branch(name: str) -> None:
    proof = same_answers.prove(sample().SerializeToString(), nudged(sample(), name), {})
    assert not proof.holds
    assert "the output 'y' differs by" in proof.detail


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("float[n, 4] x", "float[m, 4] x", "inputs are not the same: x"),
        ("float[n, 4] y", "float[1, 4] y", "outputs are not the same: y"),
        ("state_out = Id", "state_two = Id", "outputs are not the same: state_out"),
        ("float[1, 4] state)", "float[1, 4] state, int64 more)", "inputs are not the same"),
    ],
)
def test_another_interface_does_not_hold(old: str, new: str, message: str) -> None:
    text = TEXT.replace(old, new).replace(
        "state_out)", "state_two)" if "two" in new else "state_out)"
    )
    other = parser.parse_model(text).SerializeToString()
    proof = same_answers.prove(sample().SerializeToString(), other, {})
    assert not proof.holds
    assert message in proof.detail


def test_what_cannot_be_opened_does_not_hold() -> None:
    data = sample().SerializeToString()
    assert not same_answers.prove(data, b"broken", {}).holds
    assert not same_answers.prove(b"broken", data, {}).holds


def test_numbers_that_are_none_are_compared_bit_by_bit() -> None:
    text = TEXT.replace("{1, 2, 3, 4}", "{1, 2, 3, 0}").replace("s = Mul (x, w)", "s = Div (x, w)")
    data = parser.parse_model(text).SerializeToString()
    assert same_answers.prove(data, data, {}).holds


def test_an_ort_model_is_compared_with_what_it_became() -> None:
    before = tiny_ort.of(TEXT)
    after = to_onnx(before).SerializeToString()
    assert same_answers.prove(before, after, {}).holds
    for name in ("w", "new"):
        assert not same_answers.prove(before, nudged(load_from_string(after), name), {}).holds


def test_a_difference_that_only_a_long_memory_shows_is_found() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
    main (float[1] x, float[1] state) => (float[1] y, float[1] state_out)
    <float[1] one = {1}, float[1] most = {5}> {
       state_out = Add (state, one)
       seen = Min (state, most)
       y = Add (x, seen)
    }"""
    models = [parser.parse_model(text.replace("{5}", f"{{{n}}}")) for n in (5, 6)]
    before, after = (model.SerializeToString() for model in models)
    assert same_answers.prove(before, before, {}).holds
    assert not same_answers.prove(before, after, {}).holds
