"""Finds packages whose code nobody needs: never loaded, or loaded and not used.

What it does
    Follows the program from its roots (scripts in the project, a package's entries, or the files
    given with ``--consumer``) and judges every script of every package in ``node_modules``. A
    package is dead if nothing loads it, or if all of it that is loaded declares what nobody uses
    and does nothing that is noticed. The cost is the size of all its files. Where a computed name
    may mean its code, that is said instead. Without roots nothing is claimed.

Why
    A dependency that was used once is installed, audited, updated and often bundled for years.

Advice
    Remove the dependency and the imports that name it; the pass ``tree-shake`` takes the imports
    out of what ships.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.analysis.packages import package_of
from toolchain.formats.compression import ANALYSIS, Codec, encode
from toolchain.ir import ArtifactId, Finding, Graph, Severity, Store
from toolchain.program import told
from toolchain.program.usage import State, usage
from toolchain.units import Bytes, show_bytes

_ADVICE = "remove the dependency and what imports it, or run the pass tree-shake"


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package of which nothing is needed, the largest first."""
    found = usage(graph, store)
    if found is None:
        return
    findings = []
    for package in found.packages:
        state, why = found.package(package)
        if state is State.DEAD:
            findings.append(_finding(graph, store, package, is_loaded=bool(why), importers=why))
        elif state is State.UNKNOWN:
            findings += told.unknown("unused-package", package, "package", [(package, why)])
    yield from told.largest_first(findings)


def _finding(
    graph: Graph, store: Store, package: str, *, is_loaded: bool, importers: str
) -> Finding:
    files = [a for name, a in graph.files.items() if package_of(name) == package]
    size = sum(a.size for a in files)
    gzip = sum(len(encode(store.get(a.digest), Codec.GZIP, ANALYSIS.gzip)) for a in files)
    why = "it is loaded, and nothing of it is used" if is_loaded else "nothing loads it"
    return Finding(
        check="unused-package",
        where=ArtifactId(package),
        message=f"{why}: {show_bytes(size)} ({show_bytes(gzip)} with gzip)",
        advice=_ADVICE,
        cost=Bytes(size),
        severity=Severity.WARNING,
        evidence=(f"loaded by {importers}",) if is_loaded else (),
    )
