"""Finds the modules whose loading is noticed, and those that must run when they did."""

from __future__ import annotations

from collections.abc import Callable, Collection

import networkx as nx

from toolchain.program.effects import Effect
from toolchain.program.liveness import Liveness
from toolchain.program.program import ModuleId, Program

Effects = Callable[[ModuleId, int], Effect]


def running(program: Program, found: Liveness, effect: Effects) -> frozenset[ModuleId]:
    """Return the modules whose loading is noticed: by themselves, or by what they import.

    What a module does that claims to do nothing is believed to be for those who use it, unless it
    is certain: they load the module in any case.
    """
    acting = _acting(program, found, effect)
    believed = {
        module
        for module in acting & program.quiet
        if program.modules[module].form == "module" and not program.modules[module].problem
    }
    wrong = {
        m for m, number in found.items if m in believed and certain(program, effect, m, number)
    }
    return _on_first_ways(program, found, (acting - believed) | wrong)


def certain(program: Program, effect: Effects, module: ModuleId, number: int) -> str:
    """Return what a needed item certainly does outside of its module, whatever is claimed of it.

    What a declaration changes elsewhere, a cache or a counter, is for what it declares.
    """
    done = effect(module, number)
    if done.proved or program.modules[module].items[number].declares:
        return done.proved
    far = sorted({c.name for c in done.changes if c.module not in {"", module}})
    return f"changes {far[0]}" if far else ""


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


def _on_first_ways(
    program: Program, found: Liveness, modules: Collection[ModuleId]
) -> frozenset[ModuleId]:
    """Return ``modules`` and those by which each start comes to them first.

    Who imports them later may be left out: they are loaded by then, in the same order.
    """
    leading = _with_importers(program, found, modules)
    passed = set(modules)
    for start in sorted(found.started & leading):
        passed |= _first_ways(program, start, leading, modules)
    return frozenset(passed)


def _first_ways(
    program: Program,
    start: ModuleId,
    leading: Collection[ModuleId],
    modules: Collection[ModuleId],
) -> set[ModuleId]:
    """Return what is passed on the ways by which ``start`` comes to each of ``modules`` first."""
    passed: set[ModuleId] = set()
    seen = {start}
    way = [start]
    todo = [iter(program.imported(start))]
    while way:
        if way[-1] in modules:
            for module in reversed(way):
                if module in passed:
                    break
                passed.add(module)
        target = next((t for t in todo[-1] if t in leading and t not in seen), None)
        if target is None:
            way.pop()
            todo.pop()
        else:
            seen.add(target)
            way.append(target)
            todo.append(iter(program.imported(target)))
    return passed


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
