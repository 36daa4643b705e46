"""Proves that split modules compute what whole ones do.

By structure: nothing is gone and nothing else is new; a primary module has the imports and exports
of the whole one, and imports beside them only what its parts hold; node's engine accepts all of
them. By running: each program of the project prints the same and ends the same on the whole and on
the split module, and what was profiled misses nothing. Programs that were not profiled may miss:
then parts were loaded while they ran, and the proof says how many calls found nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from toolchain.errors import FormatError, ToolError
from toolchain.formats import wasm, wasm_engine
from toolchain.formats.node_program import Run, contents, run
from toolchain.formats.wasm_split import deferred_names
from toolchain.ir import ArtifactId, Graph, Kind, Proof, Relation, Store
from toolchain.sources.tools import node
from toolchain.units import show_bytes

_NAME = "same-run"
_MAY_CHANGE = frozenset({Kind.WASM, Kind.JS, Kind.SOURCEMAP})


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, Any]) -> Proof:
    """Return whether the programs in ``options`` run on ``after`` as on ``before``."""
    split = [
        i
        for i, a in after.files.items()
        if a.kind is Kind.WASM and i in before.artifacts and before.artifacts[i] != a
    ]
    if not split:
        return Proof(_NAME, holds=True, detail="no module was split")
    try:
        problem = next(_differences(before, after, store, split), "")
        outcomes = [] if problem else list(_played(before, after, store, options))
    except (FormatError, ToolError) as error:
        return Proof(_NAME, holds=False, detail=str(error))
    problem = problem or next((text for holds, text in outcomes if not holds), "")
    if problem:
        return Proof(_NAME, holds=False, detail=problem)
    sizes = (
        f"{name}: {show_bytes(after.artifacts[name].size)} of "
        f"{show_bytes(before.artifacts[name].size)}"
        for name in split
    )
    return Proof(_NAME, holds=True, detail="; ".join([*sizes, *(text for _, text in outcomes)]))


def _differences(
    before: Graph, after: Graph, store: Store, split: Sequence[ArtifactId]
) -> Iterator[str]:
    parts = {n for module in split for n in _parts(module, after)}
    yield from _changes(before, after, parts)
    for name in split:
        yield from _interface(name, before, after, store)
    modules = {n: store.get(after.artifacts[n].digest) for n in sorted({*split, *parts})}
    answers = wasm_engine.accepts(node(), list(modules.values()))
    refused = [n for n, accepted in zip(modules, answers, strict=True) if not accepted]
    yield from (f"{name}: node's engine refuses it" for name in refused)


def _changes(before: Graph, after: Graph, parts: Collection[ArtifactId]) -> Iterator[str]:
    """Yield what a split has no business to change."""
    if after.roots != before.roots or not before.edges <= after.edges:
        yield "a root or an edge is gone"
    for name in sorted(before.artifacts.keys() | after.artifacts.keys()):
        was, now = before.artifacts.get(name), after.artifacts.get(name)
        if now is None:
            yield f"{name} is gone"
        elif was is None and name not in parts:
            yield f"{name} was not there before"
        elif was is not None and was != now and was.kind not in _MAY_CHANGE:
            yield f"{name} changed"


def _parts(module: ArtifactId, after: Graph) -> list[ArtifactId]:
    stems = [name.removesuffix(".wasm").removesuffix("-1") for name in deferred_names(module)]
    added = {e.target for e in after.edges if e.relation is Relation.LAZY}
    return sorted(n for n in added if any(n.startswith(stem) for stem in stems))


def _interface(name: ArtifactId, before: Graph, after: Graph, store: Store) -> Iterator[str]:
    """Yield how a primary module's imports and exports are not those of the whole one."""
    was = wasm.read(store.get(before.artifacts[name].digest))
    now = wasm.read(store.get(after.artifacts[name].digest))
    if gone := set(_exports(was)) - set(_exports(now)):
        yield f"{name} does not export {min(gone)[0]}"
    if gone_imports := set(was.imports) - set(now.imports):
        yield f"{name} does not import {min(gone_imports).name}"
    ours = {i.module for i in set(now.imports) - set(was.imports)}
    for part in _parts(name, after):
        module = wasm.read(store.get(after.artifacts[part].digest))
        exporters = {i.module for i in module.imports}
        if not all(any(e.startswith(f"{o}.") for o in ours) for e in exporters):
            yield f"{part} imports from {min(exporters)}, which nobody provides"
        lacking = {i.name for i in module.imports} - {e.name for e in now.exports}
        if lacking:
            yield f"{part} imports {min(lacking)}, which {name} does not export"


def _exports(module: wasm.Module) -> list[tuple[str, str]]:
    return [(e.name, e.kind) for e in module.exports]


def _played(
    before: Graph, after: Graph, store: Store, options: Mapping[str, Any]
) -> Iterator[tuple[bool, str]]:
    """Run every program on both graphs; yield whether they agree, and what was seen."""
    for program in (*options["profile"], *options["others"]):
        was, now = (
            run(
                node(),
                program,
                {**contents(graph.files.values(), store), **options["files"]},
                conditions=options["conditions"],
                timeout_s=float(options["seconds"]),
            )
            for graph in (before, after)
        )
        yield _compared(program, was, now, profiled=program in options["profile"])


def _compared(program: str, was: Run, now: Run, *, profiled: bool) -> tuple[bool, str]:
    for side, run_ in (("whole", was), ("split", now)):
        if run_.code:
            return False, f"{program} fails on the {side} module ({run_.code}): {run_.complaint}"
    problem = ""
    if was.printed != now.printed:
        problem = f"{program} prints other things on the split module"
    elif not was.printed.strip():
        problem = f"{program} prints nothing, so nothing can be compared"
    elif profiled and now.misses:
        problem = f"{program} was profiled and misses {_count(now.misses, 'part')}"
    if problem:
        return False, problem
    if not now.instances:
        return True, f"{program} does not use it"
    same = f"the same {_count(len(now.printed.splitlines()), 'line')}"
    return True, f"{program}: {same}, {now.misses} misses"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
