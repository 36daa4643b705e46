"""What the command line does with a project that names a scenario."""

from __future__ import annotations

import json
from pathlib import Path

from cli.project import project, vtool

SCENARIO = '[scenario]\nscript = "scenario/turn.mjs"\nruns_in = ["node"]\n'
SCRIPT = """
import { expected } from "./expected.mjs";
export default async (entry, report) => {
  const { answer } = await import(entry);
  report("answer", answer(), expected);
};
"""
FILES = {"scenario/turn.mjs": SCRIPT, "scenario/expected.mjs": "export const expected = 42;"}


def _row(out: Path) -> dict[str, object]:
    report = json.loads((out / "report.json").read_text("utf-8"))
    row = report["ledger"][0]
    return {"kept": row["kept"], **row["proof"]}


def test_the_scenario_is_played_and_does_not_ship(tmp_path: Path) -> None:
    app = project(tmp_path / "app", FILES, more=SCENARIO)
    ran = vtool("optimize", app, "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    row = _row(tmp_path / "out")
    assert row["kept"]
    assert str(row["detail"]).endswith("; same in node: 1 event, 1 exit, 1 result")
    assert not list((tmp_path / "out").rglob("*.mjs"))


def test_a_bundle_that_behaves_otherwise_is_dropped_and_the_ledger_says_where(
    tmp_path: Path,
) -> None:
    lost = {
        "package.json": '{"sideEffects": false}',  # which is not true
        "src/main.js": 'import "./table.js"; export const answer = () => globalThis.table.size;',
        "src/table.js": "globalThis.table = new Set([1, 2]);",
    }
    app = project(tmp_path / "app", {**FILES, **lost}, more=SCENARIO)
    vtool("optimize", app, "-o", tmp_path / "out")
    row = _row(tmp_path / "out")
    assert not row["kept"]
    assert row["name"] == "same-behaviour"
    assert "was event `answer 2 42` and is error `TypeError: Cannot read prop" in str(row["detail"])
    assert (tmp_path / "out" / "src" / "main.js").exists()


def test_an_edited_scenario_is_played_anew(tmp_path: Path) -> None:
    app = project(tmp_path / "app", FILES, more=SCENARIO)
    assert vtool("optimize", app, "-o", tmp_path / "out").code == 0
    (app / "scenario" / "expected.mjs").write_text("export const expected = [];console.log(1);")
    assert vtool("optimize", app, "-o", tmp_path / "out").code == 0
    assert "1 console.log" in str(_row(tmp_path / "out")["detail"])


def test_a_wrong_scenario_is_refused(tmp_path: Path) -> None:
    app = project(tmp_path / "app", FILES, more=SCENARIO.replace("turn.mjs", "gone.mjs"))
    vtool("analyze", app).refuses(2, "scenario.script", "gone.mjs")
    app = project(tmp_path / "b", FILES, more=SCENARIO.replace("scenario/turn", "../turn"))
    vtool("analyze", app).refuses(2, "scenario.script", "../turn.mjs")
    app = project(tmp_path / "c", FILES, more=SCENARIO + 'microphone = "a.wav"\n')
    vtool("optimize", app, "-o", tmp_path / "out").refuses(2, "scenario.microphone", "a.wav")
    empty = {**FILES, "scenario/turn.mjs": "export const play = 1;"}
    app = project(tmp_path / "d", empty, more=SCENARIO)
    vtool("optimize", app, "-o", tmp_path / "out").refuses(2, "turn.mjs", "default export")
