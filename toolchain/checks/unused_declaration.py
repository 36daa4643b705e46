"""Finds declarations and statements that nobody needs, in modules of which something is needed.

What it does
    Judges what modules declare and do not export, and their statements: dead if no needed code uses
    the name, and nothing that happens there is noticed. What only a dead export uses goes with it
    and is counted here. The cost is what the removal takes out of the text, imports that nobody
    uses included, beyond what the dead exports take. Of code that may do something that nobody can
    follow, the state is unknown: that is a note, with the reason.

Why
    Bundlers keep calls that they cannot prove to be pure, decorated classes, static blocks,
    prototype assignments.

Advice
    Remove them, mark calls with ``/* @__PURE__ */`` if they are, or run the pass ``tree-shake``.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.ir import Finding, Graph, Store
from toolchain.program import told


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package with unused declarations, the largest first."""
    yield from told.unused(
        "unused-declaration", graph, store, lambda m: (m.declarations, m.of_declarations)
    )
