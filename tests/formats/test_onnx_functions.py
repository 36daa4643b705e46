"""Functions are written out where they are called, and bombs are not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, parser

from toolchain.errors import InputError
from toolchain.formats.onnx_functions import inline_functions
from toolchain.formats.onnx_model import nodes, serialized
from toolchain.formats.onnx_session import run, session

HEAD = '<ir_version: 10, opset_import: ["" : 21, "me" : 1]>\n'
MAIN = "m (float[2] x, bool c) => (float[2] y) { y = me.twice (x) }\n"


def function(name: str, body: str, opset: int = 21) -> str:
    return (
        f'<opset_import: ["" : {opset}, "me" : 1], domain: "me">\n{name} (a) => (b) {{ {body} }}\n'
    )


def model(*functions: str, main: str = MAIN) -> ModelProto:
    return parser.parse_model(HEAD + main + "".join(functions))


def test_calls_in_branches_and_in_other_functions_are_written_out() -> None:
    main = """m (float[2] x, bool c) => (float[2] y) {
       t = me.twice (x)
       y = If (c) <
          then_branch = p () => (float[2] r) { r = me.four (t) },
          else_branch = q () => (float[2] s) { s = Identity (t) }
       >
    }
    """
    given = model(
        function("four", "t = me.twice (a) b = me.twice (t)"),
        function("twice", "b = Add (a, a)"),
        main=main,
    )
    before = session(serialized(given))
    plain = inline_functions(given)
    assert not plain.functions
    assert {n.domain for n in nodes(plain)} == {""}
    after = session(serialized(plain))
    for choice, factor in ((True, 8), (False, 2)):
        feeds = {"x": np.array([1, 2], np.float32), "c": np.array(choice)}
        assert run(before, feeds)["y"].tolist() == run(after, feeds)["y"].tolist()
        assert run(after, feeds)["y"].tolist() == [factor, 2 * factor]


def test_a_model_without_functions_is_returned_as_it_is() -> None:
    given = parser.parse_model(HEAD + MAIN.replace("me.twice", "Neg"))
    assert inline_functions(given) is given


def doubling(levels: int) -> list[str]:
    calls = [
        function(f"f{i}", f"t = me.f{i + 1} (a) b = me.f{i + 1} (t)") for i in range(1, levels)
    ]
    return [
        function("twice", "t = me.f1 (a) b = me.f1 (t)"),
        *calls,
        function(f"f{levels}", "b = Neg (a)"),
    ]


def test_what_doubles_with_every_call_is_counted_and_not_built() -> None:
    assert sum(1 for _ in nodes(inline_functions(model(*doubling(10))))) == 2**10
    with pytest.raises(InputError, match=f"has {2**60} nodes"):
        inline_functions(model(*doubling(60)))


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([function("twice", "b = me.twice (a)")], "'twice' calls itself"),
        (
            [function("twice", "b = me.f (a)"), function("f", "b = me.twice (a)")],
            "'twice' calls itself",
        ),
        ([function("twice", "b = Neg (a)")] * 2, "'twice' is defined twice"),
        (
            [function("twice", "b = Neg (a)", opset=17)],
            "'twice' is written for version 17 of 'ai.onnx', the model for 21",
        ),
    ],
)
def test_what_cannot_be_written_out_is_refused_by_name(functions: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        inline_functions(model(*functions))
