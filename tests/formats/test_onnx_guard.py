"""Models that would take this process down are found out in another one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import real
import tiny_ort
from onnx import parser

from toolchain.errors import InputError, UnusableError
from toolchain.formats.onnx_guard import Limits, examine
from toolchain.units import Bytes, Seconds

HEAD = '<ir_version: 10, opset_import: ["" : 21, "me" : 1, "ai.onnx.ml" : 3]>\n'
GOOD = "m (float[n] x) => (float[n] y) { y = Neg (x) }"
SHORT = Limits(Seconds(6), Bytes(3 * 2**30))


def written(folder: Path, text: str) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(parser.parse_model(HEAD + text).SerializeToString())
    return path


def test_models_that_load_and_run_pass(tmp_path: Path) -> None:
    examine(written(tmp_path, GOOD))
    path = tmp_path / "m.ort"
    path.write_bytes(tiny_ort.of(HEAD + GOOD))
    examine(path)
    examine(real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx"))


def test_a_model_that_nobody_knows_how_to_ask_passes(tmp_path: Path) -> None:
    examine(written(tmp_path, "m (string[n] x) => (string[n] y) { y = Identity (x) }"))


@pytest.mark.parametrize(
    "text",
    [
        "m (float[n] x) => (seq(float[n]) y) { y = SequenceConstruct (x, x) }",
        "m (float[n] x) => (optional(float[n]) y) { y = Optional (x) }",
        """m (float[1, n] x) => (seq(map(int64, float)) y) {
            y = ai.onnx.ml.ZipMap <classlabels_int64s = [0, 1]> (x)
        }""",
    ],
)
def test_a_model_whose_outputs_are_no_arrays_passes(text: str, tmp_path: Path) -> None:
    examine(written(tmp_path, text))


LOOP = """m (float[1] x) => (float[1] y) {
   n = Constant <value = int64 {9223372036854775807}> ()
   t = Constant <value = bool {1}> ()
   y = Loop (n, t, x) <
      body = b (int64 i, bool c, float[1] v) => (bool d, float[1] w) {
         d = Identity (c)
         w = Add (v, v)
      }
   >
}"""

RANGE = """m (float[1] x) => (float[n] y) {
   a = Constant <value = float {0.0}> ()
   b = Constant <value = float {1e12}> ()
   c = Constant <value = float {1.0}> ()
   r = Range (a, b, c)
   y = Add (r, x)
}"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LOOP, "takes longer than 3 s while running it"),
        (RANGE, "takes longer than 3 s while inferring its shapes"),
    ],
)
def test_what_never_ends_is_ended(text: str, message: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(UnusableError, match=message) as caught:
        examine(written(tmp_path, text), Limits(Seconds(3), Bytes(3 * 2**30)))
    assert time.monotonic() - start < 30
    assert caught.value.hint


def test_what_takes_the_memory_is_refused(tmp_path: Path) -> None:
    text = """m (int64[1] x) => (float[n] y) {
       a = Constant <value = int64[1] {3000000000}> ()
       b = Max (a, x)
       y = ConstantOfShape (b)
    }"""
    with pytest.raises(UnusableError, match=r"needs more than 3\.22 GB of memory while running"):
        examine(written(tmp_path, text), SHORT)


def test_the_death_of_the_process_is_what_is_reported(tmp_path: Path) -> None:
    """With less memory than Python and onnxruntime need even to start, nothing is said at all."""
    with pytest.raises(UnusableError, match=r"the model (ends the process|needs more)"):
        examine(written(tmp_path, GOOD), Limits(Seconds(30), Bytes(60 * 2**20)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no graph"),
        (b"\x08", "no ONNX model"),
        (b"\0\0\0\0ORTM", "cannot load the model"),
    ],
)
def test_what_is_no_model_is_refused_as_everywhere(
    data: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        examine(path)


def test_functions_that_call_functions_are_not_built(tmp_path: Path) -> None:
    functions = [
        f'\n<opset_import: ["" : 21, "me" : 1], domain: "me">\n'
        f"f{i} (a) => (b) {{ t = me.f{i + 1} (a) b = me.f{i + 1} (t) }}"
        for i in range(40)
    ]
    last = '\n<opset_import: ["" : 21], domain: "me">\nf40 (a) => (b) { b = Neg (a) }'
    text = GOOD.replace("Neg", "me.f0") + "".join(functions) + last
    start = time.monotonic()
    with pytest.raises(InputError, match="1099511627776 nodes"):
        examine(written(tmp_path, text))
    assert time.monotonic() - start < 30
