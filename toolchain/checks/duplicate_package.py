"""Finds packages that are there more than once, and says who asks for which versions.

What it does
    Compares the packages in ``node_modules`` by name. The cost is the size of the files that may be
    loaded, of all copies but the largest. The evidence has every copy and every range asked for.

Why
    Two versions of a package are downloaded, parsed and run beside each other, and what one of them
    registers, the other does not know: ``instanceof`` fails, contexts are empty.

Advice
    Where copies are equal, or one version fits all ranges, the pass `dedupe-modules` makes them
    one. Else update who asks for the older version, or override it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolchain.analysis.reachability import loadable
from toolchain.installed import Ask, Copy, Installed, fits, installed
from toolchain.ir import ArtifactId, Finding, Graph, Severity, Store
from toolchain.units import Bytes, show_bytes


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package with several copies; a warning where two are loaded."""
    found = installed(graph, store)
    used = loadable(graph) if graph.roots else frozenset(graph.artifacts)
    for name, copies in found.several().items():
        sizes = [_loaded(copy, graph, used) for copy in copies]
        shipped = sum(size > 0 for size in sizes) > 1
        message, advice = _said(name, copies, found)
        yield Finding(
            check="duplicate-package",
            where=ArtifactId(copies[0].folder),
            message=message,
            advice=advice,
            cost=Bytes(sum(sizes) - max(sizes)),
            severity=Severity.WARNING if shipped else Severity.NOTE,
            evidence=tuple(
                line
                for c, size in zip(copies, sizes, strict=True)
                for line in _lines(c, size, found)
            ),
        )


def _loaded(copy: Copy, graph: Graph, used: frozenset[ArtifactId]) -> int:
    names = (ArtifactId(f"{copy.folder}/{inner}") for inner in copy.files)
    return sum(graph.artifacts[name].size for name in names if name in used)


def _said(name: str, copies: Sequence[Copy], found: Installed) -> tuple[str, str]:
    """Return what is the matter with a package, and what to do."""
    versions = list(dict.fromkeys(copy.version for copy in copies))
    makes_one = "the pass dedupe-modules makes them one"
    if len(versions) == 1:
        if all(copy.files == copies[0].files for copy in copies):
            return f"{len(copies)} equal copies of {name} {versions[0]}", makes_one
        advice = "find out which one is patched, and ship that one"
        return f"{len(copies)} copies of {name} {versions[0]} that are not equal", advice
    several = f"{name} is there as {', '.join(versions)}"
    asks = [(ask, copy.called) for copy in copies for ask in found.asks.get(copy.folder, ())]
    for copy in copies:
        if asks and all(fits(ask, called, copy) for ask, called in asks):
            return f"{several}; {copy.version} fits all who ask", makes_one
    advice = f"update who asks for the older version of {name}, or override it"
    if any(ask.wanted is None for ask, _ in asks):
        return f"{several}; somebody imports it without saying in which version", advice
    return f"{several}; no one of them fits all who ask", advice


def _lines(copy: Copy, size: int, found: Installed) -> Iterator[str]:
    asks = found.asks.get(copy.folder, ())
    yield f"{copy.folder} {copy.version}, {show_bytes(Bytes(size))} loaded"
    yield from (f"  {_asked(ask)}" for ask in asks)


def _asked(ask: Ask) -> str:
    return f"{ask.wanted or 'nobody knows which'} for {ask.asker or 'the project'}"
