"""What ran is what V8 counted, block by block."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from toolchain.formats.coverage import Range, executed, merged, scripts
from toolchain.sources.tools import node

_LENGTH = 12


@st.composite
def _nested(draw: st.DrawFn, start: int = 0, end: int = _LENGTH) -> list[tuple[Range, bool]]:
    """Draw a block with blocks inside it, none of them twice."""
    blocks = [(Range(start, end), draw(st.booleans()))]
    at = start
    while at < end and draw(st.booleans()):
        left = draw(st.integers(at, end - 1))
        right = draw(st.integers(left + 1, end))
        if (left, right) != (start, end):
            blocks += draw(_nested(left, right))
        at = right
    return blocks


@given(_nested())
def test_each_place_ran_if_the_innermost_block_around_it_did(
    blocks: list[tuple[Range, bool]],
) -> None:
    ranges = executed(reversed(blocks))
    for place in range(_LENGTH):
        around = [(r.end - r.start, ran) for r, ran in blocks if r.start <= place < r.end]
        ran = min(around, key=lambda one: one[0])[1]
        assert any(r.start <= place < r.end for r in ranges) == ran
    assert all(a.end < b.start for a, b in pairwise(ranges))


def test_node_tells_which_functions_and_which_branches_ran(tmp_path: Path) -> None:
    text = (
        "/* \U0001f3b5 */ function used(x) { if (x) { return 1; } return 'never'; }\n"
        "function unused() { return 2; }\nused(true);\n"
    )
    (tmp_path / "a.cjs").write_text(text)
    subprocess.run(
        [node(), "a.cjs"], cwd=tmp_path, env={"NODE_V8_COVERAGE": "seen"}, timeout=60, check=True
    )
    documents = [json.loads(p.read_text("utf-8")) for p in (tmp_path / "seen").iterdir()]
    (found,) = (s for d in documents for s in scripts(d) if s.url.endswith("/a.cjs"))
    assert [(f.name, f.ran) for f in found.functions] == [("used", True), ("unused", False)]
    units = text.encode("utf-16-le")
    ran = b"".join(units[2 * r.start : 2 * r.end] for r in found.executed).decode("utf-16-le")
    assert "return 1" in ran
    assert "used(true)" in ran
    assert "never" not in ran
    assert "return 2" not in ran


def test_what_ran_in_any_of_several_runs_ran() -> None:
    def run(*calls: int) -> dict[str, object]:
        functions = [
            {"functionName": name, "ranges": [{"startOffset": 4 * n, "endOffset": 4 * n + 3,
                                                "count": count}]}
            for n, (name, count) in enumerate(zip("abc", calls, strict=True))
        ]  # fmt: skip
        return {"result": [{"url": "x.js", "functions": functions}]}

    both = merged([scripts(run(1, 0, 0))[0], scripts(run(0, 0, 1))[0]])
    assert [(f.name, f.ran) for f in both.functions] == [("a", True), ("b", False), ("c", True)]
    assert both.executed == (Range(0, 3), Range(8, 11))
    assert both.executed_units == 6
