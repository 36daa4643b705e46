"""What counts as loaded before any pass: the program that ships, and TypeScript like JavaScript."""

from __future__ import annotations

import golden
import pytest

from toolchain import accounts
from toolchain.modes import in_mode

_REACT = """\
ts *src/index.ts -> node_modules/react/index.js ~> src/later.ts
    import "react"; import("./later.ts");
ts src/later.ts
    export const later: number = 1;
json node_modules/react/package.json
    {"name": "react", "version": "1.0.0", "main": "index.js"}
js node_modules/react/index.js -> node_modules/react/cjs/p.js -> node_modules/react/cjs/d.js
    ASK
js node_modules/react/cjs/p.js
    exports.a = 1;
js node_modules/react/cjs/d.js
    exports.a = "the one for development, which is much longer";
"""
_P, _D = 'module.exports = require("./cjs/p.js");', 'module.exports = require("./cjs/d.js");'
_MODE = "process.env.NODE_ENV"
_CHOICES = {
    "if": f'if ({_MODE} === "production") {{ {_P} }} else {{ {_D} }}',
    "turned": f'if ("production" !== {_MODE}) {{ {_D} }} else {{ {_P} }}',
    "ternary": f'var a = {_MODE} == "production" ? require("./cjs/p.js") : require("./cjs/d.js");',
    "and": f'{_P} {_MODE} !== "production" && require("./cjs/d.js");',
}


def _loads(ask: str, mode: str = "production") -> dict[str, float]:
    graph, store = golden.parse(_REACT.replace("ASK", ask))
    found = accounts.code_measures(in_mode(graph, store, mode), lambda file: file.size)
    return {m.name: m.samples[0] for m in found}


@pytest.mark.parametrize("name", _CHOICES)
def test_a_build_that_the_mode_does_not_choose_is_never_loaded(name: str) -> None:
    assert _loads(_CHOICES[name])["core.requests"] == 3  # index.ts, index.js, p.js


def test_the_mode_of_the_bundle_decides() -> None:
    small, large = (_loads(_CHOICES["if"], mode) for mode in ("production", "development"))
    assert small["core.requests"] == large["core.requests"] == 3
    assert small["core.raw"] < large["core.raw"]
    assert small["code.raw"] == large["code.raw"]  # what lies there, used or not


@pytest.mark.parametrize(
    "ask",
    [
        f"if (mode) {{ {_P} }} else {{ {_D} }}",
        f'if ({_MODE} === "production" && old) {{ {_P} }} else {{ {_D} }}',
        f'if ({_MODE} === "production") {{ {_P} }} else {{ {_D} }} require("./cjs/d.js");',
    ],
    ids=["not the mode", "not the mode alone", "also elsewhere"],
)
def test_what_the_mode_does_not_decide_counts(ask: str) -> None:
    assert _loads(ask)["core.requests"] == 4


def test_typescript_counts_as_it_lies_there() -> None:
    graph, _ = golden.parse("ts *a.ts ~> b.ts\n    let a: number = 1;\nts b.ts\n    let b = 2;\n")
    found = accounts.code_measures(graph, lambda file: file.size)
    measured = {m.name: m.samples[0] for m in found}
    assert measured["core.raw"] == graph.artifacts[next(iter(graph.roots))].size
    assert measured["code.lazy"] > 0
    assert measured["code.raw"] == graph.size
