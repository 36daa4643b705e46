"""Finds exports that nobody imports, in modules of which something is needed.

What it does
    Judges each export of the modules that are needed, through re-exports, barrels, namespaces and
    ``import()``, across packages. The exports of roots count as used: somebody outside may import
    them (``vtool analyze --consumer FILE`` judges a library from the side of that file instead).
    The cost is what the removal takes out of the text, declarations and lists; an export that its
    own module uses is a name too many, and costs nothing. Members of CommonJS's ``exports`` count,
    unless all of ``exports`` may be used: then nobody knows, and that is a note.

Why
    What is exported looks used, is kept by whoever maintains it, and is bundled wherever a bundler
    cannot prove the opposite.

Advice
    Remove the export, or run the pass ``tree-shake``.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.ir import Finding, Graph, Store
from toolchain.program import told
from toolchain.program.usage import Saved, State, usage

_ADVICE = "remove them, or run the pass tree-shake"


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package with unused exports, the largest first."""
    found = usage(graph, store)
    if found is None:
        return
    findings = []
    for package, modules in found.packages.items():
        live = [m for m in modules if m.state is State.LIVE]
        pieces = [p for m in live for p in told.pieces(m.module, m.exports)]
        saved = sum((m.of_exports for m in live), Saved())
        if pieces:
            unused = told.Dead(pieces, saved)
            findings.append(told.dead("unused-export", package, "export", _ADVICE, unused))
        whys = [
            (f"{m.module}:{use.line}", use.why)
            for m in live
            for use in m.exports
            if use.state is State.UNKNOWN
        ]
        if whys:
            findings.append(told.unknown("unused-export", package, "export", whys))
    yield from told.largest_first(findings)
