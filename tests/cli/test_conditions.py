"""The conditions of package.json's exports are the project's, for its graph and all its passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.project import MANIFEST, vtool, write

WHERE = {"worklet": "./src/worklet.js", "browser": "./src/browser.js", "default": "./src/node.js"}
FILES = {
    "package.json": json.dumps({"type": "module", "imports": {"#where": WHERE}}),
    "src/main.js": 'import { where } from "#where";\nconsole.log(where);\n',
    **{
        f"src/{name}.js": f'export const where = "it is the {name}";\n'
        for name in ("worklet", "browser", "node")
    },
}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", "browser"),  # the pipelines are for the web: so is what nobody says
        ('conditions = ["worklet"]\n', "worklet"),
        ('conditions = ["browser", "module"]\n', "browser"),
    ],
)
def test_a_package_is_taken_for_the_conditions_of_the_project(
    line: str, found: str, tmp_path: Path
) -> None:
    app = write(tmp_path / "app", {**FILES, "vtool.toml": MANIFEST + line})
    ran = vtool("optimize", app, "-o", tmp_path / "out", "--fast", "--no-harness")
    assert ran.code == 0, ran.err
    assert f"it is the {found}" in (tmp_path / "out" / "app" / "main.js").read_text()
