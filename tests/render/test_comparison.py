"""What ``vtool bench`` prints: bounds that say something, and a word where they do not."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from toolchain.harness.bench import Comparison, Plan
from toolchain.harness.paired import Ratio
from toolchain.ir import State
from toolchain.render.comparison import print_comparison


def printed(low: float | None, high: float | None) -> str:
    one = Ratio(1.0, low, high, 0.95, 6)
    found = Comparison(
        Plan(6, 6), ("a", "b"), State.INCONCLUSIVE, one, one, (), (), {"clip": one}, {}
    )
    console = Console(file=io.StringIO(), width=80, color_system=None)
    print_comparison(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("low", "high"), [(0.636, 9.681), (0.1, 1.01), (None, 1.2)])
def test_a_bound_that_says_nothing_is_no_number(low: float | None, high: float | None) -> None:
    out = printed(low, high)
    assert "not bounded" in out
    assert "--rounds" in out
    assert "9.681" not in out


def test_bounds_that_say_something_stand_there() -> None:
    out = printed(0.941, 1.907)
    assert "0.941" in out
    assert "1.907" in out
    assert "not bounded" not in out
