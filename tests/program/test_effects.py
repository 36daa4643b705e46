"""What evaluating each statement does: fixtures/program/effects/*.txt say statement and effect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import shaking

from toolchain.program.effects import Effect
from toolchain.program.inspection import Inspection
from toolchain.program.source import Source

_FOLDER = Path(__file__).parent.parent.parent / "fixtures" / "program" / "effects"
_RULE = "\n---\n"


def _shown(effect: Effect) -> str:
    parts = [f"changes {', '.join(sorted(found.name for found in effect.changes))}"]
    parts = parts if effect.changes else []
    parts += [f"acts: {effect.proved}"] if effect.proved else []
    parts += [f"unknown: {effect.unknown}"] if effect.unknown else []
    return "; ".join(parts) or "none"


def _effects(path: str, text: str) -> list[tuple[str, str]]:
    """Return each item of a module, on one line, with what it does."""
    graph, store = shaking.graph_of({path: text})
    source = Source(graph, store, frozenset())
    program = source.program([path])
    assert not program.modules[path].problem
    inspection = Inspection(program, source.files.read)
    data = text.encode()
    return [
        (
            " ".join(data[item.start : item.end].decode().split()),
            _shown(inspection.effect(path, number)),
        )
        for number, item in enumerate(program.modules[path].items)
    ]


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("*.txt")), ids=lambda p: p.stem)
def test_each_item_does_what_its_fixture_says(path: Path) -> None:
    text = path.read_text("utf-8")
    head, _, expected = text.partition(_RULE)
    reason, _, module = head.partition("\n")
    assert reason.startswith("# ")
    ending = "ts" if path.stem.startswith("typescript") else "cjs"
    name = f"main.{ending}" if path.stem.startswith(("typescript", "commonjs")) else "main.mjs"
    found = "".join(f"{item}\n    {done}\n" for item, done in _effects(name, module))
    if os.environ.get("UPDATE_GOLDENS") and found != expected:
        path.write_text(f"{head}{_RULE}{found}", "utf-8")
    else:
        assert found == expected
