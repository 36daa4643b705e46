"""A result that no browser runs is said loudly: a finding, a broken budget, exit code 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.project import leftovers, project, vtool

# a minified bundle says another name: the proof drops it
_DROPPED = "function named() {}\nconsole.log(named.name);\n"

RAW = {
    "TypeScript": ("src/main.ts", "export const n: number = 1;\n", "src/main.ts: TypeScript"),
    "JSX": (
        "src/main.jsx",
        "const React = { createElement: () => 2 }; export const n = <a/>;\n",
        "src/main.jsx: JSX",
    ),
    "a style sheet": (
        "src/main.js",
        'import "./a.css"; export const n = 1;\n',
        "import of the style sheet './a.css' in line 1",
    ),
    "a mode": (
        "src/main.js",
        "const p = typeof process; export const n = process.env.NODE_ENV;\n",
        "process.env.NODE_ENV in line 1",
    ),
}


@pytest.mark.parametrize("name", RAW)
def test_sources_that_no_bundle_replaced_end_with_exit_code_1(tmp_path: Path, name: str) -> None:
    file, code, words = RAW[name]
    own = project(tmp_path / "p", {file: code + _DROPPED, "src/a.css": "a { color: red }"})
    manifest = (own / "vtool.toml").read_text("utf-8").replace("src/main.js", file)
    (own / "vtool.toml").write_text(manifest, "utf-8")
    out = tmp_path / "out"
    ran = vtool("optimize", own, "-o", out, "--no-harness")
    assert ran.code == 1, ran.err + ran.out
    said = " ".join(ran.out.split())
    assert words in said
    assert "bundle-js was dropped: esbuild: app/main.js: the console says" in said
    assert leftovers(tmp_path) == []
    report = json.loads((out / "report.json").read_text("utf-8"))
    (finding,) = [f for f in report["findings"] if f["check"] == "unrunnable-code"]
    assert (finding["severity"], finding["where"]) == ("error", file)
    assert vtool("gate", out).code == 1  # the saved result is no better
    assert vtool("gate", out, "--budgets", "web").code == 1


def test_modules_that_browsers_run_may_stay_without_a_bundle(tmp_path: Path) -> None:
    code = "export const n = typeof process === 'object' && process.env.NODE_ENV;\n" + _DROPPED
    own = project(tmp_path / "p", {"src/main.js": code})
    ran = vtool("optimize", own, "-o", tmp_path / "out", "--no-harness")
    assert ran.code == 0, ran.err + ran.out
    assert "bundle-js dropped" in ran.out
    assert "unrunnable" not in ran.out
