"""Every file in fixtures/passes is a case: this input becomes that output."""

from __future__ import annotations

from pathlib import Path

import golden
import pytest


@pytest.mark.parametrize("path", golden.cases("passes"), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_pass_does_what_its_fixture_says(path: Path) -> None:
    case = golden.read(path)
    case.settle(golden.run_pass(case))
