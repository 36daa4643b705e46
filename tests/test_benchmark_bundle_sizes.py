"""The table of bundle sizes says what was measured, and of a failure that it is one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(_BENCHMARKS))

import bundle_sizes  # noqa: E402 - a script, found by its folder
from bundle_sizes import Cell, Row  # noqa: E402


def _row(entry: str, **sizes: int) -> Row:
    return Row(entry, {name: Cell(size, 1.0) for name, size in sizes.items()})


def test_vtool_is_compared_with_the_smallest_of_the_others() -> None:
    row = _row("a", esbuild=100, rollup=80, vtool=90)
    assert (row.best, row.ratio(row.best)) == (80, 1.125)


def test_a_bundler_that_failed_is_not_the_smallest() -> None:
    row = Row("a", {"esbuild": Cell(100), "bun": Cell(1, problem="no"), "vtool": Cell(90)})
    assert row.best == 100
    assert "failed" in bundle_sizes._table([row], "{:<18}", "{:>9}")
    assert list(bundle_sizes._problems([row])) == ["a: bun failed: no"]


def test_the_mean_is_geometric_and_told_without_the_row_that_moves_it_most() -> None:
    rows = [_row("three-vector3", esbuild=100, vtool=25), _row("b", esbuild=100, vtool=100)]
    said = list(bundle_sizes._means(rows))
    assert said == [
        "all entries: vtool by esbuild, geometric mean of 2: 0.500",
        "without three-vector3: vtool by esbuild, geometric mean of 1: 1.000",
    ]


@pytest.mark.parametrize(
    ("code", "outside"),
    [
        (b'import "react"; import "./chunk.js";', {"react"}),
        (b'const x = import("fs");', set()),  # guarded: it may never be asked for
    ],
)
def test_what_is_left_to_an_import_is_seen(code: bytes, outside: set[str]) -> None:
    assert bundle_sizes._outside({"main.js": code}) == outside
