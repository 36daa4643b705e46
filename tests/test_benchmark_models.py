"""The benchmark of models tells apart what became of a file, on models small enough for a test."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import parser

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from model_peers import bars, child, feeds, page, traps
from model_peers.catalogue import catalogue, write_products
from model_peers.rows import ORIGINAL, STRICT, VTOOL, Made, Result, Row, Scored, Taken

from toolchain.formats.onnx_runner import open_runner
from toolchain.tasks.base import make_task

HELD = Scored(error=0.001, agreement=1.0, positions=9, unit="dB")
BROKEN = replace(HELD, error=9.0, problem="error 9 is above 1")
FAST = Taken(1.0, 0.4, 1.0, 0.2, 1000, 0.5, "folded, ahead")


def row(tool: str, download: int = 0, scored: Scored | None = HELD, **rest: object) -> Row:
    return Row("m", tool, Made(bytes=1000, download_bytes=download), scored, **rest)  # type: ignore[arg-type]  # a test's shorthand


@pytest.fixture
def model(tmp_path: Path) -> Path:
    weights = ", ".join(str(n / 7) for n in range(64))
    graph = parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        toy (float[1, 8] x) => (float[1, 8] y)
        <float[8, 8] w = {{{weights}}}> {{ y = MatMul(x, w) }}
    """)
    path = tmp_path / "toy.onnx"
    path.write_bytes(graph.SerializeToString())
    return path


def said(job: str, **request: object) -> dict[str, object]:
    found: dict[str, object] = child.answer(job, request, seconds=60, memory_bytes=2_000_000_000)
    return found


def test_a_tool_runs_in_a_process_of_its_own_and_its_model_is_scored(
    model: Path, tmp_path: Path
) -> None:
    calls, out = tmp_path / "calls.npz", tmp_path / "out.onnx"
    asked = {"model": str(model), "task": {"family": "unknown", "limit": 0.001}, "files": {}}
    assert said("feeds", **asked, out=str(calls))["kept"]
    assert feeds.few(calls)[0]["x"].shape == (1, 8)
    made = said("convert", peer="dynamic int8", model=str(model), feeds=str(calls), out=str(out))
    assert made["peak_bytes"]
    scored = said("score", **asked, candidate=str(out))
    assert scored["problem"]
    assert said("score", **asked, candidate=str(model))["problem"] == ""


def test_what_does_not_load_is_no_score_and_a_tool_that_raises_is_told(
    model: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(model.read_bytes()[:-40])
    asked = {"model": str(model), "task": {"family": "unknown", "limit": 0.1}, "files": {}}
    assert said("score", **asked, candidate=str(bad))["stage"] == "does not load"
    calls = tmp_path / "calls.npz"
    feeds.write(calls, [{"x": np.zeros((1, 8), np.float32)}])
    made = said("convert", peer="onnxsim", model=str(bad), feeds=str(calls), out=str(tmp_path))
    assert "failed" in made


def test_a_process_that_takes_too_long_is_a_row() -> None:
    found = child.answer("score", {}, seconds=0.05, memory_bytes=2_000_000_000)
    assert found == {"error": "it takes longer than 0.05 s"}


@pytest.mark.parametrize(
    ("made", "scored", "outcome"),
    [
        (Made(bytes=1000, download_bytes=400), HELD, "smaller"),
        (Made(bytes=900, download_bytes=500), HELD, "no change"),
        (Made(bytes=1100, download_bytes=500), HELD, "larger"),
        (Made(bytes=600, download_bytes=400), BROKEN, "breaks the limit"),
        (Made(bytes=600), Scored(stage="does not load"), "does not load"),
        (Made(failed="ValueError"), None, "tool fails"),
    ],
)
def test_an_outcome_is_what_becomes_of_a_download(
    made: Made, scored: Scored | None, outcome: str
) -> None:
    assert Row("m", "t", made, scored).outcome(Made(bytes=1000, download_bytes=500)) == outcome


def verdicts(*rows: Row) -> dict[str, bool | None]:
    return {b.what.split(" ")[-1]: b.reached for b in bars.bars(rows, {}, frozenset())}


def test_the_best_peer_is_the_smallest_that_keeps_the_limit() -> None:
    peers = [row(ORIGINAL, 900), row("dynamic int8", 100, BROKEN), row("onnxslim", 500)]
    assert verdicts(*peers, row(VTOOL, 375, taken=FAST))["error"] is True
    assert verdicts(*peers, row(VTOOL, 376, taken=FAST))["error"] is False


def test_fewer_bytes_at_a_larger_error_reach_nothing() -> None:
    worse = replace(HELD, error=0.002)
    assert verdicts(row("int8", 500), row(VTOOL, 100, worse))["error"] is False
    strict = row(STRICT, 300)
    assert verdicts(row("int8", 500), row(VTOOL, 100, worse), strict)["error"] is True
    lossless = replace(HELD, error=0.0)
    assert verdicts(row("int8", 500, lossless), row(VTOOL, 100, worse))["error"] is True


def test_memory_counts_only_at_the_same_latency() -> None:
    def memory(taken: Taken) -> bool | None:
        found = bars.bars([row(VTOOL, 1, taken=taken)], {}, frozenset())
        return next(b.reached for b in found if b.what.startswith("peak"))

    assert memory(FAST) is True
    assert memory(replace(FAST, peak_ratio=0.61)) is False
    assert memory(replace(FAST, latency_ratio=1.06)) is False


def test_tables_replace_what_stood_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "models.md"
    path.write_text(f"before\n{page.BEGIN}\nold | table\n{page.END}\nafter\n", "utf-8")
    rows = (row(ORIGINAL, 900), row("onnxslim", 500), row(VTOOL, 100, taken=FAST))
    found = Result("a machine", {}, {}, {}, rows)
    judged = bars.bars(rows, {}, frozenset())
    page.put(path, page.markdown(found, judged, traps.traps(rows, ())))
    text = path.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old | table" not in text
    assert "| onnxslim | smaller |" in text
    assert "not measured" in text
    path.write_text("no marks", "utf-8")
    with pytest.raises(ValueError, match="no place"):
        page.put(path, "")


def test_turned_products_are_written_as_exporters_do_and_tied_ones_stay() -> None:
    weights = ", ".join(str(n) for n in range(6))
    graph = parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        toy (float[1, 3] x) => (float[1, 2] y, float[1, 3] z)
        <float[2, 3] w = {{{weights}}}, float[2, 3] tied = {{{weights}}}> {{
            y = Gemm <transB = 1> (x, w)
            t = Gemm <transB = 1> (x, tied)
            z = Gemm (t, tied)
        }}
    """)
    x = {"x": np.array([[1, 2, 3]], np.float32)}
    before = open_runner(graph.SerializeToString()).run(x)
    write_products(graph.graph)
    after = open_runner(graph.SerializeToString()).run(x)
    assert [node.op_type for node in graph.graph.node] == ["MatMul", "Gemm", "Gemm"]
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_every_model_names_a_task_that_exists_and_a_licence() -> None:
    known = catalogue()
    names = {data.name for data in known.data}
    for model in known.model:
        assert model.licence
        assert set(model.data) <= names
        assert model.task["family"] in {"vad", "stt", "llm", "tts", "embedding", "unknown"}
    toy = next(m for m in known.model if m.task["family"] == "unknown")
    assert make_task(toy.task, {}).limit.error == 0.01
