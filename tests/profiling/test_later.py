"""What could be loaded later is shown as an edit that was tried, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.project import project

from toolchain import build
from toolchain.profiling.later import later
from toolchain.profiling.trials import recommended
from toolchain.workspace import Workspace

PADDING = "\n".join(f'  text.push("a line of the report, number {n}");' for n in range(40))
MAIN = """\
import { turn } from "./turn.js";
import { report } from "./report.js";
import { Tray } from "./tray.js";
export const start = () => turn();
export const finish = async () => report();
export const hold = () => new Tray();
"""
FILES = {
    "src/main.js": MAIN,
    "src/turn.js": "export const turn = () => 'heard';\n",
    "src/report.js": "const text = new Set().add(Date);\nexport const report = async () => {\n"
    f"  const text = [];\n{PADDING}\n  return text;\n}};\n",
    "src/tray.js": "export class Tray { open() {} }\n",
    "scenario/turn.mjs": "export default async (entry) => (await import(entry)).start();\n",
}


def test_an_edit_is_recommended_with_what_it_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    more = '[scenario]\nscript = "scenario/turn.mjs"\nruns_in = ["node"]\n'
    app = project(tmp_path / "app", FILES, more=more)
    workspace = Workspace.open(jobs=1)
    assembly, loaded = build.load(str(app), workspace)
    report, tray = later(assembly, loaded.graph, workspace.store)
    assert report.what == "src/report.js is loaded when it is first used"
    assert "judge first: src/report.js does something when it is loaded: line 1" in report.how
    assert '-import { report } from "./report.js";\n+function report(...args)' in report.how
    (effect,) = report.effects
    assert effect.improves
    assert effect.change < -1000
    assert tray.why_not.startswith("no edit is exact: src/main.js: line 6: Tray is used otherwise")
    (one,) = recommended((report, tray))
    assert one.how == report.how
