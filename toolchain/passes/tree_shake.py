"""Remove from modules the declarations, statements, imports and exports that nobody needs.

What it does
    Reads all modules that the roots load as one program, finds what is needed of each, and writes
    the others' code out of them: functions, classes, variables, statements that only change those,
    names in import and export lists, members of CommonJS's ``exports``. ``sideEffects`` in
    package.json then names the modules that still act when they are loaded, and those by which
    they are loaded first. The project's own package.json is corrected like others.

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
from toolchain.ir import Artifact, ArtifactId, Graph, Store
from toolchain.origins import Edits, with_origins
from toolchain.passes.base import GraphPass
from toolchain.program.edits import settled, side_effects
from toolchain.program.shaking import kept_edges, shaking
from toolchain.program.source import Source
from toolchain.units import Bytes


@dataclass(frozen=True)
class TreeShake(GraphPass):
    """Shake the modules of all roots; ``conditions`` are those of package.json's ``exports``."""

    proof = "same-program"

    conditions: tuple[str, ...] = ("browser", "module")

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with smaller modules in the place of those that hold dead code."""
        shaken = shaking(graph, store, frozenset(self.conditions))
        if shaken is None:
            return graph
        source, found, editor = shaken.source, shaken.found, shaken.editor
        changed: list[Artifact] = []
        made: dict[ArtifactId, Edits | None] = {}
        for module in sorted(found.executed):
            data = source.files.read(module)
            edits = editor.edits(module, data)
            if edits:
                final = {**settled(data, edits), **stale_map(data)}
                made[ArtifactId(module)] = final
                changed.append(_written(graph, store, module, edited(data, final)))
        changed += self._labels(graph, store, source, found.executed, shaken.runs)
        if not changed:
            return graph
        after = replace(graph.with_artifacts(changed), edges=kept_edges(graph, shaken))
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
        homes = {source.home(module) for module in executed}
        changed = []
        for folder in sorted(h for h in homes if h is not None):
            name = f"{folder}/package.json" if folder else "package.json"
            data = source.files.read(name)
            new = side_effects(data, folder, runs)
            if new != data:
                changed.append(_written(graph, store, name, new))
        return changed


def _written(graph: Graph, store: Store, name: str, data: bytes) -> Artifact:
    artifact = graph.artifacts[ArtifactId(name)]
    return replace(artifact, digest=store.put(data), size=Bytes(len(data)))
