"""A graph read as one program, what of it is needed, and the edits that take the rest out."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.ir import OWNERSHIP, Edge, Graph, Store
from toolchain.program.edits import Editor
from toolchain.program.inspection import Inspection
from toolchain.program.liveness import Liveness, live
from toolchain.program.order import ordered, running
from toolchain.program.program import ModuleId, Program
from toolchain.program.source import SCRIPTS, Source


@dataclass(frozen=True)
class Shaking:
    """A program whose every item is judged. ``runs`` are modules whose loading is noticed."""

    source: Source
    program: Program
    inspection: Inspection
    found: Liveness
    runs: frozenset[ModuleId]
    editor: Editor


def shaking(graph: Graph, store: Store, conditions: frozenset[str]) -> Shaking | None:
    """Judge the program that the scripts among a graph's roots load; None without any.

    ``conditions`` are those of package.json's ``exports`` that hold.
    """
    entries = _entries(graph)
    if not entries:
        return None
    source = Source(graph, store, conditions)
    program = source.program(entries)
    inspection = Inspection(program, source.files.read)
    found = live(program, inspection.effect, program.entries)
    runs = running(program, found, inspection.effect)
    editor = Editor(program, found, ordered(program, found, inspection.effect))
    return Shaking(source, program, inspection, found, runs, editor)


def kept_edges(graph: Graph, shaken: Shaking) -> frozenset[Edge]:
    """Return the edges of a graph less those that only code asks for that nobody needs."""
    source, editor = shaken.source, shaken.editor
    edges = {e for e in graph.edges if e.source not in shaken.found.executed}
    for module in sorted(shaken.found.executed):
        edits = editor.edits(module, source.files.read(module))
        edges |= source.kept_edges(
            module,
            lambda mention, m=module, e=edits: editor.keeps(m, e, mention),  # type: ignore[misc]
        )
    return frozenset(edges)


def _entries(graph: Graph) -> list[ModuleId]:
    """Return the scripts that are roots, and those that pages load.

    The map of a module that was edited before loads nothing.
    """
    loads = (e for e in graph.edges if e.relation not in OWNERSHIP)
    pages = {e.target for e in loads if graph.artifacts[e.source].kind not in SCRIPTS}
    loaded = {t for t in pages if graph.artifacts[t].kind in SCRIPTS}
    roots = {r for r in graph.roots if graph.artifacts[r].kind in SCRIPTS}
    return sorted(roots | (loaded if roots else set()))
