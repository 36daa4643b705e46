"""Which inputs decide between branches, and by which values."""

from __future__ import annotations

import numpy as np
import pytest
import real
from onnx import parser

from toolchain.formats import onnx_model
from toolchain.formats.onnx_choices import choices, combinations


def found(inputs: str, body: str) -> dict[str, tuple[bool | int | float, ...]]:
    return choices(
        parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : 17]>
            main (float[n] x, {inputs}) => (float[n] y)
            <int64 rate = {{16000}}, int64[1] other = {{8000}}, float half = {{0.5}}>
            {{ {body} }}"""
        )
    )


@pytest.mark.parametrize(
    ("inputs", "body", "expected"),
    [
        ("bool on", "y = Neg (x)", {"on": (False, True)}),
        ("bool[1] on, bool[2] two", "y = Neg (x)", {"on": (False, True)}),
        ("int64 sr", "c = Equal (sr, rate) y = Neg (x)", {"sr": (16000, 0)}),
        (
            "int64[1] sr",
            """a = Cast <to = 7> (sr) b = Squeeze (a) c = Equal (rate, b)
            d = Less (a, other) y = Neg (x)""",
            {"sr": (16000, 8000, 0)},
        ),
        ("float level", "c = Greater (level, half) y = Neg (x)", {"level": (0.5, 0)}),
        ("int64 sr, int64 free", "c = Equal (free, sr) y = Neg (x)", {}),
        ("int64[k] sr", "c = Equal (sr, rate) y = Neg (x)", {}),
    ],
)
def test_flags_and_compared_numbers_are_found(
    inputs: str, body: str, expected: dict[str, tuple[float, ...]]
) -> None:
    assert found(inputs, body) == expected


def test_all_flags_are_combined_up_to_eight() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        main (bool a, bool[1, 1] b, bool c, bool d) => (bool y) { y = And (a, c) }"""
    feeds = combinations(parser.parse_model(text), {"d": np.ones((), np.bool_)})
    assert len(feeds) == 8
    assert {feed["b"].shape for feed in feeds} == {(1, 1)}
    assert len({tuple(bool(v.all()) for v in feed.values()) for feed in feeds}) == 8
    assert all("d" not in feed for feed in feeds)


def test_silero_is_asked_at_its_rate_and_at_another() -> None:
    data = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx").read_bytes()
    assert choices(onnx_model.load(data))["sr"] == (16000, 0)
