"""simplify-model: other people's optimizers help, and can do no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import real
from onnx import parser

from toolchain.errors import ConfigError, InputError, ToolError
from toolchain.formats import onnx_candidates
from toolchain.formats.onnx_candidates import Limits, candidate
from toolchain.formats.onnx_comparison import Question, same_numbers
from toolchain.passes.base import make_pass
from toolchain.passes.simplify_model import SimplifyModel

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
TWICE = "main (float[n] x) => (float[n] y) { a = Identity (x) b = Identity (a) y = Relu (b) }"

BROKEN = {
    "import sys; sys.exit('no such operator')": "onnxslim fails: no such operator",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": r"onnxslim crashes \(SIGSEGV\)",
    "import time; time.sleep(60)": "onnxslim takes longer than 1 s",
    "def slim(model): model.graph.node[-1].op_type = 'Abs'; del model.graph.node[0]; "
    "model.graph.node[0].input[0] = 'x'; return model": "other numbers: largest difference",
    "def slim(model): del model.graph.node[0]; return model": "onnxslim: onnxruntime cannot load",
}


def model(text: str) -> bytes:
    data: bytes = parser.parse_model(f"{HEAD} {text}").SerializeToString()
    return data


@pytest.mark.parametrize("code", BROKEN)
def test_a_tool_that_breaks_the_model_is_dropped_and_named(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of the tool's name does what the real ones were seen to do."""
    (tmp_path / "onnxslim.py").write_text(code + "\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    made = SimplifyModel(tools=("onnxslim",), seconds=1 if "sleep" in code else 60)
    with pytest.raises(InputError, match=BROKEN[code]):
        made.rewrite(model(TWICE))


def test_a_broken_tool_does_not_spoil_a_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxslim.py").write_text("def slim(model): del model.graph.node[0]; return model")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    before = model(TWICE)
    after = SimplifyModel(tools=("onnxslim", "onnxsim"), load_ratio=100).rewrite(before)
    assert len(after) < len(before)
    assert same_numbers(before, after, Question())[0]


def test_a_tool_that_needs_too_much_memory_ends_alone() -> None:
    with pytest.raises(ToolError, match="onnxsim"):
        candidate(model(TWICE), "onnxsim", Limits(seconds=60, megabytes=150))


def test_a_result_that_loads_slowly_is_dropped() -> None:
    with pytest.raises(InputError, match=r"onnxsim: takes \d.* times as long to load"):
        SimplifyModel(tools=("onnxsim",), load_ratio=1e-6).rewrite(model(TWICE))


def test_a_tool_that_is_not_installed_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(onnx_candidates.TOOLS, "absent_tool", lambda m: m)  # type: ignore[arg-type]  # a dict inside
    data = model(TWICE)
    assert SimplifyModel(tools=("absent_tool",)).rewrite(data) is data


@pytest.mark.parametrize(
    "options", [{"tools": ["wishful"]}, {"seconds": 0}, {"megabytes": 0}, {"load_ratio": 0.0}]
)
def test_a_request_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_pass("simplify-model", options)
    assert caught.value.hint


def test_a_real_model_that_onnxsim_can_make_smaller_stays_the_same() -> None:
    before = real.file("pypi:hibari-tts==0.2.1", "hibari/assets/oov_gb.onnx").read_bytes()
    after = SimplifyModel(tools=("onnxsim",), load_ratio=10).rewrite(before)
    assert len(after) < len(before)
    same, detail = same_numbers(before, after, Question())
    assert same, detail
