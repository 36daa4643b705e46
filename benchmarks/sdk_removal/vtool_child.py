"""Runs vtool's own passes for JavaScript on a folder, in a process of its own.

python vtool_child.py '{"tree": DIR, "entries": {"main": FILE}, "out": DIR, "platform": "node"}'
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from toolchain import rulebook
from toolchain.emit import write
from toolchain.loader import Loader
from toolchain.pipeline import Pipeline
from toolchain.sources.directory import open_tree
from toolchain.tables import dump
from toolchain.workspace import Workspace

ACCOUNT = "vtool-candidates.json"  # what became of each candidate; no program loads it
# Of the pipeline web-voice: what concerns code
_PASSES = ("tree-shake", "drop-unreachable", "bundle-js")


def main() -> None:
    """Read the request, optimize, write."""
    asked = json.loads(sys.argv[1])
    workspace = Workspace.open()
    tools = (workspace.store, workspace.cache, workspace.executor)
    files = open_tree(Path(asked["tree"])).files
    conditions = frozenset({asked["platform"], "module"})
    loaded = Loader(*tools).load(files, asked["entries"].values(), conditions=conditions)
    steps = [
        replace(step, options={**step.options, "conditions": sorted(conditions)})
        if step.run in {"tree-shake", "bundle-js"}
        else step
        for step in rulebook.pipeline("web-voice")
        if step.run in _PASSES
    ]
    result = Pipeline(*tools).run(loaded.graph, steps)
    out = Path(asked["out"])
    write(result.graph, workspace.store, out, result.renames, {})
    rows = [c for row in result.ledger for c in row.candidates]
    (out / ACCOUNT).write_text(json.dumps(dump(rows)), "utf-8")


if __name__ == "__main__":
    main()
