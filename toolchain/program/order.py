"""Finds the modules whose loading is noticed, and those that must run when they did."""

from __future__ import annotations

from collections.abc import Callable, Collection

import networkx as nx

from toolchain.program.effects import Effect
from toolchain.program.liveness import Liveness
from toolchain.program.program import ModuleId, Program

Effects = Callable[[ModuleId, int], Effect]


def running(program: Program, found: Liveness, effect: Effects) -> frozenset[ModuleId]:
    """Return the modules whose loading is noticed: by themselves, or by what they import."""
    return _with_importers(program, found, _acting(program, found, effect))


def ordered(program: Program, found: Liveness, effect: Effects) -> frozenset[ModuleId]:
    """Return the modules that have to be loaded where they were, even if nobody names them.

    Besides those whose loading is noticed: what reads something that others change, and what is
    loaded in a circle, where the first that is entered decides who is ready when.
    """
    seeing = {m for m, number in found.items if effect(m, number).sees}
    graph: nx.DiGraph[ModuleId] = nx.DiGraph()
    for module in found.executed:
        graph.add_edges_from((module, target) for target in program.imported(module))
    circles = nx.strongly_connected_components(graph)
    circular = {module for circle in circles if len(circle) > 1 for module in circle}
    alive = {module for module, _ in found.items}
    first = _acting(program, found, effect) | seeing | (circular & alive)
    return _with_importers(program, found, first)


def _acting(program: Program, found: Liveness, effect: Effects) -> set[ModuleId]:
    """Return the modules that do something themselves when they are loaded, and keep doing it.

    What changes names of the same module only is no act: who needs those names loads the module.
    """
    acting = set()
    for module, number in found.items:
        text = program.modules[module]
        done = effect(module, number)
        far = any(changed.module != module for changed in done.changes)
        if text.form != "module" or text.problem or done.proved or done.unknown or far:
            acting.add(module)
    for module in found.executed:
        sources = [c.source for c in program.modules[module].clauses if c.source]
        if any(program.target(module, source) is None for source in sources):
            acting.add(module)  # what is outside may do anything
    return acting


def _with_importers(
    program: Program, found: Liveness, modules: Collection[ModuleId]
) -> frozenset[ModuleId]:
    importers: dict[ModuleId, list[ModuleId]] = {}
    for module in found.executed:
        for target in program.imported(module):
            importers.setdefault(target, []).append(module)
    seen, todo = set(modules), list(modules)
    while todo:
        for importer in importers.get(todo.pop(), ()):
            if importer not in seen:
                seen.add(importer)
                todo.append(importer)
    return frozenset(seen)
