"""Finds files that lie in several places with the same bytes.

What it does
    Compares the SHA-256 of all files; parts of files and members of archives are left out. The cost
    is the size of all copies but one.

Why
    Each copy is stored, published and often downloaded by itself: caches go by address, not by
    content. Packages ship the same model or the same WebAssembly file more often than one thinks.

Advice
    Ship one copy and let the others' users refer to it; where packages bring it, depend on one
    version of the package.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.analysis.duplicates import duplicates
from toolchain.analysis.reachability import reachable
from toolchain.ir import Finding, Graph, Severity, Store
from toolchain.units import show_bytes


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each set of equal files; a warning where two of them are used."""
    del store  # digests are enough
    used = reachable(graph)
    for same in duplicates(graph):
        first, *copies = same.ids
        shipped = len(used.intersection(same.ids)) > 1
        yield Finding(
            check="duplicate-file",
            where=first,
            message=f"the same {show_bytes(same.size)} lie in {len(same.ids)} places",
            advice="ship one copy and refer to it from the other places",
            cost=same.wasted,
            severity=Severity.WARNING if shipped else Severity.NOTE,
            evidence=tuple(copies),
        )
