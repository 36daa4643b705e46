"""The golden runner itself: it reads what it writes, and a difference fails."""

from __future__ import annotations

from pathlib import Path

import golden
import pytest
from graph_strategies import graphs
from hypothesis import given

from toolchain.ir import Graph, MemoryStore

_TEXT = """\
js *app/index.js -> core.js ~> big.safetensors
    import "./core.js"

      indented, after an empty line
js core.js
compressed core.js.gz %> core.js
    (short)
external external:fs
"""


def test_what_is_parsed_is_shown_again_in_order() -> None:
    graph, store = golden.parse("safetensors big.safetensors\n    weights\n" + _TEXT)
    shown = golden.show(graph, store)
    first, rest = _TEXT.split("js core.js\n")
    assert shown == f"{first}safetensors big.safetensors\n    weights\njs core.js\n{rest}"
    assert golden.parse(shown)[0] == graph


@given(graphs())
def test_edges_and_roots_survive_being_shown(graph: Graph) -> None:
    empty = MemoryStore()
    for artifact in graph.artifacts.values():
        empty.blobs[artifact.digest] = b""
    again, _ = golden.parse(golden.show(graph, empty))
    assert again.edges == graph.edges
    assert again.roots == graph.roots
    assert {i: a.kind for i, a in again.artifacts.items()} == {
        i: a.kind for i, a in graph.artifacts.items()
    }


def _case(tmp_path: Path, text: str) -> golden.Case:
    path = tmp_path / "drop-unreachable" / "case.txt"
    path.parent.mkdir()
    path.write_text(text, "utf-8")
    return golden.read(path)


def test_a_difference_fails_with_its_reason_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPDATE_GOLDENS", raising=False)
    monkeypatch.setattr(golden, "ROOT", tmp_path)
    case = _case(tmp_path, "# unused goes\ndrop-unreachable\n---\njs *a\njs b\n---\njs *a\njs b\n")
    with pytest.raises(AssertionError, match="unused goes") as raised:
        case.settle(golden.run_pass(case))
    assert "-js b" in str(raised.value)


def test_updating_writes_what_was_found_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPDATE_GOLDENS", "1")
    head = "# unused goes\ndrop-unreachable{keep_licences=false}\n---\njs *a\njs b\n---\n"
    case = _case(tmp_path, head + "js wrong\n")
    case.settle(golden.run_pass(case))
    assert case.path.read_text("utf-8") == head + "js *a\n"


@pytest.mark.parametrize(
    "text",
    [
        "drop-unreachable\n---\njs a\n---\n",  # no reason
        "# why\nanother-pass\n---\njs a\n---\n",  # in the wrong folder
        "# why\ndrop-unreachable\n---\njs a\n",  # nothing expected
    ],
)
def test_a_broken_case_is_an_error_and_not_a_pass(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError):
        _case(tmp_path, text)


def test_there_are_cases_to_run() -> None:
    assert len(golden.cases("passes")) > 10
    assert len(golden.cases("checks")) > 5
