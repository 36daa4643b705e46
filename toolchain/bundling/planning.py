"""Tells which contenders run a second time, and of which chunks they are told then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from toolchain.bundling import chunks
from toolchain.bundling.chunks import Acting
from toolchain.bundling.contenders import Contender, Run
from toolchain.formats.bundlers import PLANNABLE
from toolchain.formats.esbuild_build import Result

Starts = Callable[[Result], Collection[str]]
"""Returns the modules whose bundles start by themselves: pages and workers."""


def plans(runs: Sequence[Run], starts: Starts, acting: Acting) -> dict[Contender, dict[str, str]]:
    """Return better chunks for the best of each engine that can be told of them.

    A plan maps modules to the names of their chunks; where the files are good as is there is none.
    """
    best: dict[str, tuple[int, Contender, Result]] = {}
    for run in sorted(runs, key=lambda one: one.contender.name):
        engine, result = run.contender.engine, run.result
        if result is not None and engine in PLANNABLE:
            cost = chunks.cost(result, starts(result))
            if engine not in best or cost < best[engine][0]:
                best[engine] = cost, run.contender, result
    found = {
        replace(contender, is_planned=True): chunks.planned(result, starts(result), acting)
        for _, contender, result in best.values()
    }
    return {contender: plan for contender, plan in found.items() if plan}
