"""Frames of every engine lead to the sources; what no map knows stays as it is."""

from __future__ import annotations

import pytest

from toolchain.formats.sourcemap import Segment, SourceMap
from toolchain.formats.stack_trace import traced

MAP = SourceMap(("src/ear.ts",), (), ((Segment(0, 0, 4, 2), Segment(9)), (Segment(4, 0, 9, 0),)))
OTHER = SourceMap(("src/mouth.ts",), (), ((Segment(0, 0, 0, 0),),))
MAPS = {"app/main.js": MAP, "app/mouth-A1.js": OTHER, "b/same.js": MAP, "c/same.js": OTHER}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("    at e (https://x.org/v2/app/main.js:1:5)", "    at e (src/ear.ts:5:3)"),
        ("    at async https://x.org/app/main.js?v=1#a:2:5", "    at async src/ear.ts:10:1"),
        ("e@https://x.org/app/main.js:1:1", "e@src/ear.ts:5:3"),
        ("    at new t (file:///srv/my%20app/app/main.js:1:1)", "    at new t (src/ear.ts:5:3)"),
        ("    at f (https://cdn.x.org/assets/mouth-A1.js:1:1)", "    at f (src/mouth.ts:1:1)"),
        ("    at f (https://x.org/b/same.js:1:1)", "    at f (src/ear.ts:5:3)"),
        ("    at f (https://x.org/same.js:1:1)", None),
        ("    at e (https://x.org/app/main.js:1:10)", None),
        ("    at e (https://x.org/app/main.js:7:1)", None),
        ("    at e (https://x.org/app/other.js:1:5)", None),
        ("TypeError: main.js:1:1 is no number, said app/main.js:1:1 once", None),
        ("    at native code", None),
    ],
)
def test_a_frame_leads_to_its_source(frame: str, expected: str | None) -> None:
    assert traced(f"Error: x\n{frame}\n", MAPS) == f"Error: x\n{expected or frame}\n"
