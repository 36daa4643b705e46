"""Random programs print the same before and after the pass; ``nox -s graphs`` tries 2,000."""

from __future__ import annotations

import os
from pathlib import Path

import random_programs
import shaking

_AT_A_TIME = 100  # programs in one process of node
PROGRAMS = int(os.environ.get("VTOOL_GRAPHS", "200"))


def test_no_random_program_prints_anything_else_after_the_pass(tmp_path: Path) -> None:
    wrong: list[str] = []
    for first in range(0, PROGRAMS, _AT_A_TIME):
        folder = tmp_path / str(first)
        seeds = range(first, first + _AT_A_TIME)
        wrong += shaking.differences([random_programs.program(seed) for seed in seeds], folder)
    assert wrong == []


def test_a_random_program_is_the_same_each_time_and_is_shaken() -> None:
    one = random_programs.program(5)
    assert one == random_programs.program(5)
    sizes = [
        (sum(map(len, files.values())), sum(map(len, shaking.shaken(files).values())))
        for files in map(random_programs.program, range(5))
    ]
    assert sum(after for _, after in sizes) < sum(before for before, _ in sizes)
