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


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package with unused exports, the largest first."""
    yield from told.unused("unused-export", graph, store, lambda m: (m.exports, m.of_exports))
