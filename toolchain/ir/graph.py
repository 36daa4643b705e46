"""The one data structure in the middle: artifacts, edges, roots. Immutable."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from toolchain.ir.artifact import (
    ABSENT_KINDS,
    OWNERSHIP,
    PART_KINDS,
    SIBLINGS,
    Artifact,
    ArtifactId,
    Edge,
    Relation,
)
from toolchain.units import Bytes


@dataclass(frozen=True, slots=True)
class Graph:
    """An immutable set of artifacts, the edges between them, and the entry points.

    ``conditions`` are those of package.json's ``exports`` under which imports became edges;
    ``kept`` are globs on ids of what is loaded in a way that no edge shows, as the project says.

    Passes return a new graph and never change the old one, so a failed pass loses nothing and
    ``after is before`` means "nothing to do".
    """

    artifacts: Mapping[ArtifactId, Artifact]
    edges: frozenset[Edge]
    roots: frozenset[ArtifactId]
    conditions: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()

    @property
    def files(self) -> dict[ArtifactId, Artifact]:
        """The files that take up room of their own, by id in sorted order.

        Not parts of files, not members of archives (their bytes are the archive's), not
        compressed siblings, not source maps of what ships, not what is outside.
        """
        inside = {
            e.target for e in self.edges if e.relation in {Relation.CONTAINS, Relation.UNPACKS}
        }
        inside |= {e.source for e in self.edges if e.relation in SIBLINGS}
        return {
            i: self.artifacts[i]
            for i in sorted(self.artifacts)
            if i not in inside and self.artifacts[i].kind not in ABSENT_KINDS | PART_KINDS
        }

    @property
    def size(self) -> Bytes:
        """Sum of all files' sizes, uncompressed."""
        return Bytes(sum(a.size for a in self.files.values()))

    @property
    def delivered(self) -> Bytes:
        """Bytes a new user downloads: each file once, in its smallest encoding."""
        return Bytes(sum(self.least().values()))

    def least(self) -> dict[ArtifactId, Bytes]:
        """Return each file's bytes in its smallest encoding: its own, or those of a sibling."""
        least = {i: a.size for i, a in self.files.items()}
        for edge in self.edges:
            if edge.relation is Relation.ENCODES and edge.target in least:
                least[edge.target] = min(least[edge.target], self.artifacts[edge.source].size)
        return least

    def keep(self, ids: Collection[ArtifactId]) -> Self:
        """Return the subgraph on ``ids``; edges to what is dropped go, and the maps of scripts."""
        gone = {e.source for e in self.edges if e.relation is Relation.MAPS and e.target not in ids}
        kept = {i: a for i, a in self.artifacts.items() if i in ids and i not in gone}
        if len(kept) == len(self.artifacts):
            return self
        edges = frozenset(e for e in self.edges if e.source in kept and e.target in kept)
        return replace(self, artifacts=kept, edges=edges, roots=self.roots & kept.keys())

    def without_parts(self) -> Self:
        """Return the graph of whole files: what passes rewrite."""
        return self.keep({i for i, a in self.artifacts.items() if a.kind not in PART_KINDS})

    def with_artifacts(self, changed: Iterable[Artifact]) -> Self:
        """Return the graph with ``changed`` in place of the artifacts of the same ids, or added."""
        new = {a.id: a for a in changed}
        if all(self.artifacts.get(i) == a for i, a in new.items()):
            return self
        return replace(self, artifacts={**self.artifacts, **new})

    def with_edges(self, edges: Iterable[Edge]) -> Self:
        """Return the graph with ``edges`` added."""
        return replace(self, edges=self.edges | frozenset(edges))

    def renamed(self, names: Mapping[ArtifactId, ArtifactId]) -> Self:
        """Return the graph with artifacts called by their new names, edges and roots included."""
        if not names:
            return self
        return replace(
            self,
            artifacts={
                names.get(i, i): replace(a, id=names.get(i, i)) for i, a in self.artifacts.items()
            },
            edges=frozenset(
                Edge(names.get(e.source, e.source), names.get(e.target, e.target), e.relation)
                for e in self.edges
            ),
            roots=frozenset(names.get(i, i) for i in self.roots),
        )

    def targets(self, source: ArtifactId, *relations: Relation) -> list[ArtifactId]:
        """Return what ``source`` needs by any of ``relations`` (all, if none are given), sorted."""
        return sorted(
            e.target
            for e in self.edges
            if e.source == source and (not relations or e.relation in relations)
        )

    def maps(self) -> dict[ArtifactId, Artifact]:
        """Return the source maps of scripts that ship, by the script."""
        return {
            e.target: self.artifacts[e.source] for e in self.edges if e.relation == Relation.MAPS
        }

    def without_maps(self) -> Self:
        """Return the graph of what ships: without the source maps of its scripts."""
        return self.keep(self.artifacts.keys() - {made.id for made in self.maps().values()})

    def without_stale_maps(self, before: Self) -> Self:
        """Return the graph without source maps of scripts that are not what they were ``before``.

        A map that came with the new script stays; a wrong one is worse than none.
        """
        known = before.maps()
        stale = {
            sourcemap.id
            for script, sourcemap in self.maps().items()
            if known.get(script) == sourcemap
            and before.artifacts[script].digest != self.artifacts[script].digest
        }
        return self.keep(self.artifacts.keys() - stale)

    def problems(self) -> list[str]:
        """Return what makes this graph invalid; empty for a valid one."""
        found = [
            f"root {r} is not in the graph" for r in sorted(self.roots - self.artifacts.keys())
        ]
        for edge in sorted(self.edges):
            found += [
                f"edge {edge.source} -> {edge.target}: {end} is not in the graph"
                for end in (edge.source, edge.target)
                if end not in self.artifacts
            ]
        found += [
            f"{i} is stored under the id of {a.id}" for i, a in self.artifacts.items() if i != a.id
        ]
        return found + self._accounting()

    def _accounting(self) -> list[str]:
        """Every byte of a file that has parts is owned by exactly one of them."""
        parts: dict[ArtifactId, int] = {}
        owner: dict[ArtifactId, ArtifactId] = {}
        found = []
        for edge in self.edges:
            if edge.relation is not Relation.CONTAINS or edge.target not in self.artifacts:
                continue
            parts[edge.source] = parts.get(edge.source, 0) + self.artifacts[edge.target].size
            if owner.setdefault(edge.target, edge.source) != edge.source:
                found.append(f"{edge.target} has two owners")
        return found + [
            f"the parts of {i} are {size} bytes of {self.artifacts[i].size}"
            for i, size in sorted(parts.items())
            if i in self.artifacts and size != self.artifacts[i].size
        ]

    def needs(self) -> dict[ArtifactId, list[tuple[ArtifactId, Relation]]]:
        """Return who needs whom at load or run time (not who contains whom), targets sorted."""
        needs: dict[ArtifactId, list[tuple[ArtifactId, Relation]]] = {i: [] for i in self.artifacts}
        for edge in sorted(self.edges):
            if edge.relation not in OWNERSHIP:
                needs[edge.source].append((edge.target, edge.relation))
        return needs
