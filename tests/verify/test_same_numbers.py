"""The proof of lossless passes on models: what it accepts and what it must not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from toolchain.formats.onnx_probes import probes
from toolchain.formats.onnx_session import session
from toolchain.verify import same_numbers

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
STATEFUL = """main (float[1, n] x, float[1, 1] state) => (float[1, n] y, float[1, 1] stateN) {{
    mean = ReduceMean <axes = [1]> (x)
    moved = Add (state, mean)
    stateN = Mul (moved, {keep})
    y = Add (x, stateN)
}}"""


def model(text: str) -> bytes:
    data: bytes = parser.parse_model(f"{HEAD} {text}").SerializeToString()
    return data


def stateful(keep: float) -> bytes:
    text = STATEFUL.format(keep="keep").replace("{\n", f"<float keep = {{{keep!r}}}> {{\n", 1)
    return model(text)


def test_a_model_computes_its_own_numbers() -> None:
    proof = same_numbers.prove(stateful(0.9), stateful(0.9), {})
    assert proof.holds
    assert "all bits the same in 72 frames at 3 sizes" in proof.detail
    assert "1 states carried over" in proof.detail


def test_an_error_that_grows_with_the_state_is_found() -> None:
    assert not same_numbers.prove(stateful(0.9), stateful(0.9001), {}).holds
    assert np.float32(0.9) != np.float32(0.90000001)
    assert not same_numbers.prove(stateful(0.9), stateful(0.90000001), {}).holds


def test_each_model_keeps_its_own_state() -> None:
    """A fifth of what is allowed, added in every frame, is too much after 24 frames."""
    text = """main (float[1, n] x, float[1, 1] state) => (float[1, 1] stateN)
        <float more = {%s}> { stateN = Add (state, more) }"""
    before, after = model(text % "0.25"), model(text % "0.2500002")
    assert not same_numbers.prove(before, after, {}).holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("main (float[1, n] x) => (float[1, n] z) { z = Neg (x) }", "other names"),
        (
            """main (float[1, n] x) => (float[n] y) {
               a = Neg (x) s = Shape <start = 1> (x) y = Reshape (a, s) }""",
            "inf",
        ),
        ("main (float[1, n] x) => (double[1, n] y) { a = Neg (x) y = Cast <to = 11> (a) }", "inf"),
        ("main (float[1, n] x) => (float[1, n] y) { a = Neg (x) y = Log (a) }", "inf"),
        ("main (float[1, n] x) => (float[1, n] y) { y = Relu (x) }", "difference"),
        ("main (float[1, 3] x) => (float[1, 3] y) { y = Neg (x) }", "cannot run"),
        (
            "main (float[1, n] x, float[1] more) => (float[1, n] y) { y = Add (x, more) }",
            "cannot run",
        ),
    ],
)
def test_a_model_that_answers_otherwise_is_refused(text: str, why: str) -> None:
    before = model("main (float[1, n] x) => (float[1, n] y) { y = Neg (x) }")
    proof = same_numbers.prove(before, model(text), {})
    assert not proof.holds
    assert why in proof.detail


def test_not_a_number_equals_itself() -> None:
    nan = model(
        """main (float[1, n] x) => (float[1, n] y) {
           a = Neg (x) b = Abs (x) c = Sub (a, b) y = Log (c) }"""
    )
    assert same_numbers.prove(nan, nan, {}).holds


def test_the_bound_value_is_given_to_the_original() -> None:
    before = model("main (float[n] x, float[1] gain) => (float[n] y) { y = Mul (x, gain) }")
    after = model("main (float[n] x) => (float[n] y) <float[1] gain = {3}> { y = Mul (x, gain) }")
    assert same_numbers.prove(before, after, {"input": "gain", "value": 3.0}).holds
    assert not same_numbers.prove(before, after, {"input": "gain", "value": 2.0}).holds


def test_what_cannot_be_read_or_probed_does_not_hold() -> None:
    good = stateful(0.9)
    assert not same_numbers.prove(good, b"broken", {}).holds
    assert not same_numbers.prove(b"", good, {}).holds
    words = model("main (string[n] x) => (string[n] y) { y = Identity (x) }")
    proof = same_numbers.prove(words, words, {})
    assert not proof.holds
    assert "cannot be made up" in proof.detail


def test_sizes_are_found_that_the_model_accepts() -> None:
    square = model(
        """main (float[n, m] x, float[m, k] w, float[7, k] b) => (float[p, q] y) {
           a = MatMul (x, w) t = Transpose (b) y = MatMul (a, t) }"""
    )
    found = probes(session(square), {}, {}, limit=3)
    assert len(found) == 3
    for probe in found:
        assert probe.shapes["x"][1] == probe.shapes["w"][0]
    fixed = probes(session(square), {}, {"x": (5, 6)}, limit=1)
    assert fixed[0].shapes == {"x": (5, 6), "w": (6, 1), "b": (7, 1)}


def test_probes_run_from_silence_to_full_scale() -> None:
    (probe,) = probes(session(stateful(0.5)), {}, {"x": (1, 512)}, limit=1)
    generator = np.random.default_rng(0)
    peaks = [
        float(np.abs(probe.frame(generator, n)["x"].astype(np.float64)).max()) for n in range(5)
    ]
    assert peaks[0] == 0
    assert peaks == sorted(peaks)
    assert 0.7 < peaks[-1] < 1.2


FLAGGED = """main (float[1, n] x, bool[1] cached, int64 rate) => (float[1, n] y) {{
    wanted = Constant <value = int64 {{16000}}> ()
    is_wanted = Equal (rate, wanted)
    y = If (cached) <
        then_branch = a () => (float[1, n] p) {{
            p = If (is_wanted) <
                then_branch = c () => (float[1, n] r) {{ r = {fast} (x) }},
                else_branch = d () => (float[1, n] s) {{ s = Neg (x) }}
            >
        }},
        else_branch = b () => (float[1, n] q) {{ q = Abs (x) }}
    >
}}"""


def test_every_branch_answers() -> None:
    """One of six combinations of a flag and a rate reaches the innermost branch."""
    before = model(FLAGGED.format(fast="Relu"))
    proof = same_numbers.prove(before, before, {})
    assert proof.holds
    assert "4 choices of branches" in proof.detail
    assert not same_numbers.prove(before, model(FLAGGED.format(fast="Exp")), {}).holds


def test_a_branch_that_takes_other_sizes_is_asked_too() -> None:
    """With the flag, caches are read and grow; their length is no matter without it."""
    text = """main (float[1, n] x, float[1, p] past, bool[1] on) => (float[1, m] present) {{
        present = If (on) <
            then_branch = a () => (float[1, k] q) {{
                h = {op} (past)
                q = Concat <axis = 1> (h, x)
            }},
            else_branch = b () => (float[1, k] r) {{ r = Identity (x) }}
        >
    }}"""
    before, after = model(text.format(op="Identity")), model(text.format(op="Sin"))
    assert same_numbers.prove(before, before, {}).holds
    assert not same_numbers.prove(before, after, {}).holds


def test_random_numbers_are_the_same_wherever_the_operator_stands() -> None:
    head = "main (float[1, n] x) => (float[1, n] y)"
    before = model(head + "{ a = Neg (x) b = Neg (a) r = RandomNormalLike (b) y = Add (b, r) }")
    after = model(head + "{ r = RandomNormalLike (x) y = Add (x, r) }")
    assert same_numbers.prove(before, after, {}).holds
    other = model(head + "{ r = RandomUniformLike (x) y = Add (x, r) }")
    assert not same_numbers.prove(before, other, {}).holds


def test_only_outputs_that_were_to_go_may_be_gone() -> None:
    before = model("main (float[n] x) => (float[n] y, float[n] z) { y = Neg (x) z = Abs (x) }")
    after = model("main (float[n] x) => (float[n] z) { z = Abs (x) }")
    assert same_numbers.prove(before, after, {"outputs": ("y",)}).holds
    assert not same_numbers.prove(before, after, {}).holds
    assert not same_numbers.prove(before, before, {"outputs": ("y",)}).holds


def test_sums_in_another_order_are_the_same_only_if_the_runtime_chose_the_order() -> None:
    """The graph itself adds in another order: other numbers, by however little."""
    text = """main (float[1, n] x) => (float[1, n] y)
        <float[1] a = {0.1}, float[1] b = {0.7}> { p = Add (%s) y = Add (p, %s) }"""
    before, after = model(text % ("x, a", "b")), model(text % ("x, b", "a"))
    proof = same_numbers.prove(before, after, {})
    assert not proof.holds
    assert "without onnxruntime's optimizations" in proof.detail


def test_caches_grow_as_they_do_in_use() -> None:
    """What goes wrong only when more than thirty steps are in the cache."""
    text = """main (float[1, 1] x, float[1, p] past) => (float[1, m] present, float[1, 1] y)
        <int64 most = {30}, float[1] none = {0}> {
        present = Concat <axis = 1> (past, x)
        steps = Size (past)
        long = Greater (steps, most)
        y = If (long) <
            then_branch = a () => (float[1, 1] q) { q = %s },
            else_branch = b () => (float[1, 1] r) { r = Identity (x) }
        >
    }"""
    before, after = model(text % "Identity (x)"), model(text % "Neg (x)")
    fixed = {"shapes": {"past": (1, 16)}}
    assert same_numbers.prove(before, before, fixed).holds
    assert not same_numbers.prove(before, after, fixed).holds


def test_a_model_whose_integers_are_flags_is_asked_with_flags() -> None:
    text = """m (int64[n] kind) => (float[n] y) <float[2] table = {1.5, -2.5}> {
        y = Gather (table, kind)
    }"""
    before = model(text)
    assert same_numbers.prove(before, before, {}).holds
    assert not same_numbers.prove(before, model(text.replace("-2.5", "-2.6")), {}).holds


def test_a_model_whose_answer_is_a_sequence_is_not_compared() -> None:
    text = "main (float[1, n] x) => (seq(float[1, n]) y) { y = SequenceConstruct (x, x) }"
    proof = same_numbers.prove(model(text), model(text), {})
    assert not proof.holds
    assert "'y' is a seq" in proof.detail
