"""Every file in fixtures/checks is a case: this input has those findings."""

from __future__ import annotations

from pathlib import Path

import golden
import pytest


@pytest.mark.parametrize("path", golden.cases("checks"), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_check_finds_what_its_fixture_says(path: Path) -> None:
    case = golden.read(path)
    case.settle(golden.run_check(case))
