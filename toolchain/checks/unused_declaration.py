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
from toolchain.program.usage import Saved, State, usage

_ADVICE = "remove them, or run the pass tree-shake"


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package with unused declarations, the largest first."""
    found = usage(graph, store)
    if found is None:
        return
    findings = []
    for package, modules in found.packages.items():
        live = [m for m in modules if m.state is State.LIVE]
        pieces = [p for m in live for p in told.pieces(m.module, m.declarations)]
        saved = sum((m.of_declarations for m in live), Saved())
        if pieces:
            unused = told.Dead(pieces, saved)
            findings.append(
                told.dead("unused-declaration", package, "declaration", _ADVICE, unused)
            )
        whys = [
            (f"{m.module}:{use.line}", use.why)
            for m in live
            for use in m.declarations
            if use.state is State.UNKNOWN
        ]
        if whys:
            findings.append(told.unknown("unused-declaration", package, "declaration", whys))
    yield from told.largest_first(findings)
