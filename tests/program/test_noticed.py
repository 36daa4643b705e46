"""Programs whose effects hide well: what they print in node is what they print after the pass."""

from __future__ import annotations

from pathlib import Path

import shaking

_CASES = Path(__file__).parent.parent.parent / "fixtures" / "program" / "noticed.txt"


def cases(text: str) -> dict[str, dict[str, str]]:
    """Return the files of each program by its title."""
    found: dict[str, dict[str, str]] = {}
    for block in text.split("## ")[1:]:
        title, _, rest = block.partition("\n")
        # `export {}` makes it a module: scripts stay as they are
        parts = rest.split("@@ ") if "@@ " in rest else ["", f"main.mjs\n{rest}export {{}};\n"]
        found[title] = {p.partition("\n")[0]: p.partition("\n")[2] for p in parts[1:]}
    return found


def test_what_a_program_prints_is_never_lost(tmp_path: Path) -> None:
    programs = cases(_CASES.read_text("utf-8"))
    before = shaking.printed(list(programs.values()), tmp_path / "before")
    after = shaking.printed([shaking.shaken(p) for p in programs.values()], tmp_path / "after")
    silent = [title for title, lines in zip(programs, before, strict=True) if not lines]
    assert silent == [], "prints nothing, so nothing can be lost"
    wrong = [
        f"{title}: {old} became {new}"
        for title, old, new in zip(programs, before, after, strict=True)
        if old != new
    ]
    assert wrong == []
