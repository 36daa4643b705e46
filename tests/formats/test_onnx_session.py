"""Opening models in onnxruntime: what it refuses is said once, in words, and printed nowhere."""

from __future__ import annotations

import pytest
from onnx import parser

from toolchain.errors import UnusableError
from toolchain.formats.onnx_session import session

TEXT = """<ir_version: 10, opset_import: ["" : 21], metadata_props: ["voice": "alice"]>
main (float[size] inside) => (float[n] y) {
"""
GOOD = parser.parse_model(TEXT + "y = Neg (inside) }").SerializeToString()


@pytest.mark.parametrize("name", [b"inside", b"size", b"voice", b"alice"])
def test_names_that_are_no_text_are_refused_when_the_model_is_opened(name: bytes) -> None:
    assert name in GOOD
    with pytest.raises(UnusableError, match="utf-8"):
        session(GOOD.replace(name, b"\xff" + name[1:]))


def test_what_onnxruntime_refuses_is_printed_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    for damaged in (GOOD[:20], GOOD.replace(b"Neg", b"N\xffg"), GOOD.replace(b"size", b"\xff" * 4)):
        with pytest.raises(UnusableError, match="cannot load the model"):
            session(damaged)
    assert capfd.readouterr() == ("", "")
