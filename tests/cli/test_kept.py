"""Files that the project says are loaded in a way that no code shows."""

from __future__ import annotations

import json
from pathlib import Path

from cli.project import MANIFEST, at_once, vtool, write

FILES = {
    "package.json": '{"type": "module"}',
    "src/main.js": "console.log(1);\n",
    "src/side.js": 'import "./needed.js";\n',
    "src/needed.js": "console.log(2);\n",
    "public/a.mp3": "a",
    "public/b.mp3": "b",
    "vtool.toml": MANIFEST + 'keep = ["public/a*", "src/side.js"]\n',
}


def test_what_is_kept_ships_with_what_it_needs_and_is_not_called_unused(tmp_path: Path) -> None:
    app, out = write(tmp_path / "app", FILES), tmp_path / "out"
    analyzed, optimized = at_once(
        lambda: vtool("analyze", app, "--json", "-"),
        lambda: vtool("optimize", app, "-o", out, "--fast", "--no-harness"),
    )
    assert (analyzed.code, optimized.code) == (0, 0), analyzed.err + optimized.err
    assert (out / "app" / "main.js").is_file()
    assert all((out / kept).is_file() for kept in ("public/a.mp3", "src/side.js", "src/needed.js"))
    assert not (out / "public" / "b.mp3").exists()
    found = [f for f in json.loads(analyzed.out)["findings"] if f["check"] == "unreachable-file"]
    assert [(f["evidence"], f["advice"].partition("keep = ")[2]) for f in found] == [
        (["public/b.mp3: 1 B"], '["public/b.mp3"]')
    ]
