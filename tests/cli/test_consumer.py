"""A library analyzed from the side of who uses it."""

from __future__ import annotations

import json
from pathlib import Path

from cli.project import vtool, write

LIBRARY = {
    "package.json": '{"name": "kit", "exports": "./index.js", "type": "module"}',
    "index.js": 'export { used } from "./used.js";\nexport { unused } from "./unused.js";\n',
    "used.js": "export const used = () => 1;\n",
    "unused.js": "export const unused = () => 2;\n",
}


def _unused(report: str) -> list[tuple[str, str]]:
    found = json.loads(report)["findings"]
    return [(f["check"], f["where"]) for f in found if f["check"].startswith("unused-")]


def test_a_library_alone_has_no_unused_exports_and_this_is_said(tmp_path: Path) -> None:
    ran = vtool("analyze", write(tmp_path / "kit", LIBRARY), "--json", "-")
    assert ran.code == 0, ran.err
    assert _unused(ran.out) == []
    assert "--consumer FILE" in json.loads(ran.out)["notes"][0]


def test_a_consumer_inside_of_the_folder_says_what_is_used(tmp_path: Path) -> None:
    consumer = {"examples/app.js": 'import { used } from "kit";\nconsole.log(used());\n'}
    kit = write(tmp_path / "kit", {**LIBRARY, **consumer})
    ran = vtool("analyze", kit, "--consumer", "examples/app.js", "--json", "-")
    assert ran.code == 0, ran.err
    assert ("unused-module", ".") in _unused(ran.out)
    assert json.loads(ran.out)["notes"] == []


def test_a_consumer_from_outside_imports_the_library_by_its_name(tmp_path: Path) -> None:
    kit = write(tmp_path / "kit", LIBRARY)
    app = write(tmp_path / "app", {"app.js": 'import { used } from "kit";\nconsole.log(used());'})
    ran = vtool("analyze", kit, "--consumer", app / "app.js", "--json", "-")
    assert ran.code == 0, ran.err
    assert ("unused-module", "node_modules/kit") in _unused(ran.out)


def test_several_consumers_use_more_than_one(tmp_path: Path) -> None:
    consumers = {
        "a.js": 'import { used } from "kit";\nconsole.log(used());\n',
        "b.js": 'import { unused } from "kit";\nconsole.log(unused());\n',
    }
    kit = write(tmp_path / "kit", {**LIBRARY, **consumers})
    ran = vtool("analyze", kit, "--consumer", "a.js", "--consumer", "b.js", "--json", "-")
    assert _unused(ran.out) == []


def test_a_consumer_that_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    ran = vtool("analyze", write(tmp_path / "kit", LIBRARY), "--consumer", "none.js")
    assert ran.code == 2
    assert "there is no file none.js" in ran.err
