"""Time that is planned: never more than allowed where less effort is left, and the best else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolchain.formats.compression_effort import delta_ladder, ladder, within
from toolchain.ir import Kind

_ladders = st.lists(
    st.lists(st.integers(0, 100).map(float), min_size=1, max_size=4).map(
        lambda costs: sorted(costs, reverse=True)
    ),
    max_size=8,
)


@given(_ladders, st.integers(0, 300).map(float))
def test_a_plan_keeps_to_its_time_or_has_nothing_left_to_give_up(
    costs: list[list[float]], seconds: float
) -> None:
    rungs = within(costs, seconds)
    total = sum(c[r] for c, r in zip(costs, rungs, strict=True))
    assert total <= seconds or all(r == len(c) - 1 for c, r in zip(costs, rungs, strict=True))
    if sum(c[0] for c in costs) <= seconds:
        assert rungs == [0] * len(costs)


def test_fifty_thousand_files_are_planned_in_a_moment() -> None:
    costs = [[float(n), n / 2, n / 4, 0.0] for n in range(50_000)]
    rungs = within(costs, 10.0)  # quadratic, this would take minutes
    assert sum(c[r] for c, r in zip(costs, rungs, strict=True)) < 10.001
    assert rungs[:2] == [0, 0]


def test_every_ladder_goes_down_in_time_and_has_an_effort_for_any_size() -> None:
    for kind in Kind:
        for size in (0, 5_000_000, 50_000_000, 5_000_000_000):
            rungs = ladder(kind, size)
            rates = [r.seconds_per_mb for r in rungs]
            assert rungs
            assert rates == sorted(rates, reverse=True)
    rates = [r.seconds_per_mb for r in delta_ladder()]
    assert rates == sorted(rates, reverse=True)
