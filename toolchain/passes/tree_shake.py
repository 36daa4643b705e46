"""Remove from modules the declarations, statements, imports and exports that nobody needs.

What it does
    Reads all modules that the roots load as one program, finds what is needed of each, and writes
    the others' code out of them: functions, classes, variables, statements that only change those,
    names in import and export lists, members of CommonJS's ``exports``. ``sideEffects`` in
    package.json then names exactly the modules that still act when they are loaded.

Why
    Bundlers keep what they cannot prove to be without effect: decorated classes, static blocks,
    calls without ``@__PURE__``, prototype assignments, and everything behind ``import()``. And
    they lose what a wrong ``sideEffects: false`` hides. Here calls are entered, across modules.

Keeps
    The exports of the roots, and all that is loaded by a name that is computed. Every effect that
    is proved, whatever a package claims; of effects that are unknown, those of packages that do
    not claim to have none. Modules that are not understood stay as they are. What is assumed:
    reading a member of something unknown runs no code; reading and arithmetic throw nothing.

Source
    Mark and sweep over declarations, as in rollup and esbuild; effects by abstract interpretation
    (Cousot and Cousot, 1977), flow-insensitive, entering each call with what it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolchain.formats.javascript_addresses import edited
from toolchain.formats.sourcemap_edits import stale_map
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Store
from toolchain.origins import Edits, with_origins
from toolchain.passes.base import GraphPass
from toolchain.program.edits import Editor, settled, side_effects
from toolchain.program.inspection import Inspection
from toolchain.program.liveness import live
from toolchain.program.order import ordered, running
from toolchain.program.source import SCRIPTS, Source
from toolchain.units import Bytes


@dataclass(frozen=True)
class TreeShake(GraphPass):
    """Shake the modules of all roots; ``conditions`` are those of package.json's ``exports``."""

    proof = "same-program"

    conditions: tuple[str, ...] = ("browser", "module")

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with smaller modules in the place of those that hold dead code."""
        entries = _entries(graph)
        if not entries:
            return graph
        source = Source(graph, store, frozenset(self.conditions))
        program = source.program(entries)
        inspection = Inspection(program, source.files.read)
        found = live(program, inspection.effect, entries)
        runs = running(program, found, inspection.effect)
        editor = Editor(program, found, ordered(program, found, inspection.effect))
        changed: list[Artifact] = []
        made: dict[ArtifactId, Edits | None] = {}
        edges: set[Edge] = {e for e in graph.edges if e.source not in found.executed}
        for module in sorted(found.executed):
            data = source.files.read(module)
            edits = editor.edits(module, data)
            if edits:
                final = {**settled(data, edits), **stale_map(data)}
                made[ArtifactId(module)] = final
                changed.append(_written(graph, store, module, edited(data, final)))
            edges |= source.kept_edges(
                module,
                lambda mention, m=module, e=edits: editor.keeps(m, e, mention),  # type: ignore[misc]
            )
        changed += self._labels(graph, store, source, found.executed, runs)
        if not changed:
            return graph
        after = replace(graph.with_artifacts(changed), edges=frozenset(edges))
        return with_origins(graph, after, store, made)

    def _labels(
        self,
        graph: Graph,
        store: Store,
        source: Source,
        executed: set[str],
        runs: frozenset[str],
    ) -> list[Artifact]:
        """Return the files package.json whose ``sideEffects`` is not what was found."""
        homes = {source.home(module) for module in executed} - {None}
        changed = []
        for folder in sorted(h for h in homes if h):
            name = f"{folder}/package.json"
            data = source.files.read(name)
            new = side_effects(data, folder, runs)
            if new != data:
                changed.append(_written(graph, store, name, new))
        return changed


def _written(graph: Graph, store: Store, name: str, data: bytes) -> Artifact:
    artifact = graph.artifacts[ArtifactId(name)]
    return replace(artifact, digest=store.put(data), size=Bytes(len(data)))


def _entries(graph: Graph) -> list[str]:
    """Return the scripts that are roots, and those that pages load."""
    pages = {e.target for e in graph.edges if graph.artifacts[e.source].kind not in SCRIPTS}
    loaded = {t for t in pages if graph.artifacts[t].kind in SCRIPTS}
    roots = {r for r in graph.roots if graph.artifacts[r].kind in SCRIPTS}
    return sorted(roots | (loaded if roots else set()))
