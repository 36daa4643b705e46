"""Finds modules that are loaded although nobody needs anything of them.

What it does
    Judges each module that the program loads: dead if nothing of it is used, what it does when it
    is loaded is not noticed, and nobody's turn depends on it. The cost is the size of the files.
    Modules of a package that is unused as a whole are not named again; what nothing loads at all is
    told by ``unreachable-file``. Of a module that is not understood, that declares globals, or that
    a computed name may mean, nobody knows: that is a note, with the reason.

Why
    A barrel (``export * from``) loads a hundred modules for one function; bundlers keep those that
    they cannot prove to do nothing.

Advice
    Import from the module itself and not through the barrel, or run the pass ``tree-shake``.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.ir import Finding, Graph, Store
from toolchain.program import told
from toolchain.program.usage import Saved, State, usage

_ADVICE = "import what is used from its own module, or run the pass tree-shake"


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package with unused modules, the largest first."""
    found = usage(graph, store)
    if found is None:
        return
    findings = []
    for package, modules in found.packages.items():
        if found.package(package)[0] is not State.LIVE:
            continue
        unused = [m for m in modules if m.state is State.DEAD and m.is_loaded]
        if unused:
            pieces = [told.Piece(m.module, "", m.whole.raw) for m in unused]
            all_of_it = told.Dead(pieces, sum((m.whole for m in unused), Saved()))
            findings.append(told.dead("unused-module", package, "module", _ADVICE, all_of_it))
        whys = [(m.module, m.why) for m in modules if m.state is State.UNKNOWN]
        findings += told.unknown("unused-module", package, "module", whys)
    yield from told.largest_first(findings)
