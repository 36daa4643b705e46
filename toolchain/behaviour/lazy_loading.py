"""Finds features that are loaded at the start and not needed there, and how to load them later."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff

from toolchain.behaviour.staging import SCRIPTS
from toolchain.formats.javascript import read
from toolchain.formats.javascript_addresses import edited
from toolchain.formats.javascript_late import Late, exported_functions, late, statements
from toolchain.formats.javascript_purity import effect
from toolchain.formats.node_resolution import Resolver
from toolchain.formats.sourcemap_edits import stale_map
from toolchain.installed import GraphFiles
from toolchain.ir import ArtifactId, Edge, Graph, Relation, Store
from toolchain.origins import Edits, with_origins
from toolchain.units import Bytes


@dataclass(frozen=True, slots=True)
class Feature:
    """A module that nothing needs at the start, with what only it needs: ``modules``.

    ``edits`` are what changes in the modules that import it, ``diff`` says it for people.
    ``unsafe`` is why the edits are not made by themselves; empty if they are safe.
    """

    module: ArtifactId
    modules: tuple[ArtifactId, ...]
    size: Bytes
    edits: Mapping[ArtifactId, Edits]
    diff: str
    unsafe: str = ""


class Lateness:
    """What of a program could be loaded late, given what is not needed at the start."""

    def __init__(self, graph: Graph, store: Store, conditions: Collection[str]) -> None:
        self._graph, self._store = graph, store
        self._resolver = Resolver(GraphFiles(graph, store), frozenset(conditions))
        self._imports: dict[ArtifactId, list[ArtifactId]] = {}
        starts = {e.target for e in graph.edges if e.relation in {Relation.LAZY, Relation.WORKER}}
        self._starts = sorted((graph.roots | starts) & self._scripts())

    def _scripts(self) -> set[ArtifactId]:
        return {i for i, a in self._graph.files.items() if a.kind in SCRIPTS}

    def features(self, idle: Collection[ArtifactId]) -> Iterator[Feature]:
        """Yield the largest parts of ``idle``, modules of which nothing ran, each with its edits.

        Modules inside a feature are not features of their own.
        """
        loaded = self._order(frozenset())
        inside: set[ArtifactId] = set()
        for module in sorted(set(idle) & set(loaded), key=lambda m: (-self._weight(m), m)):
            if module in inside or module in self._starts:
                continue
            importers = [m for m in loaded if module in self._eager(m)]
            if all(importer in idle for importer in importers):
                continue  # it comes with what imports it
            feature = self._feature(module, importers)
            inside |= set(feature.modules)
            yield feature

    def _weight(self, module: ArtifactId) -> int:
        return sum(self._graph.artifacts[m].size for m in self._only(module))

    def _only(self, module: ArtifactId) -> list[ArtifactId]:
        """Return what is loaded for ``module`` alone, itself included, in order."""
        without = set(self._order(frozenset({module})))
        return [m for m in self._order(frozenset()) if m not in without]

    def _order(self, gone: frozenset[ArtifactId]) -> list[ArtifactId]:
        """Return the modules in the order in which they run at the start, without ``gone``."""
        order: list[ArtifactId] = []
        seen: set[ArtifactId] = set(gone)
        for start in self._starts:
            stack = [(start, iter(self._eager(start)))] if start not in seen else []
            seen.add(start)
            while stack:
                module, rest = stack[-1]
                following = next((m for m in rest if m not in seen), None)
                if following is None:
                    order.append(module)
                    stack.pop()
                    continue
                seen.add(following)
                stack.append((following, iter(self._eager(following))))
        return order

    def _eager(self, module: ArtifactId) -> list[ArtifactId]:
        """Return what a module imports before it runs, in the order of its text."""
        if module not in self._imports:
            named = self._graph.targets(module, Relation.IMPORT)
            there = [t for t in named if self._graph.artifacts[t].kind in SCRIPTS]
            mentions = read(self._text(module)).mentions if len(there) > 1 else ()
            written = [self._target(m.target, module) for m in mentions]
            places = {t: n for n, t in reversed(list(enumerate(written)))}
            self._imports[module] = sorted(there, key=lambda t: (places.get(t, len(written)), t))
        return self._imports[module]

    def _target(self, specifier: str, module: ArtifactId) -> ArtifactId | None:
        found = self._resolver.resolve(specifier, module)
        return ArtifactId(found) if isinstance(found, str) else None

    def _text(self, module: ArtifactId) -> bytes:
        return self._store.get(self._graph.artifacts[module].digest)

    def _feature(self, module: ArtifactId, importers: list[ArtifactId]) -> Feature:
        modules = self._only(module)
        size = Bytes(sum(self._graph.artifacts[m].size for m in modules))
        edits: dict[ArtifactId, Edits] = {}
        why = [*self._acts(module, modules)]
        for importer in importers:
            found = self._late(importer, module)
            why += [f"{importer}: {found.unsafe}"] if found.unsafe else []
            if found.edits:
                edits[importer] = {**found.edits, **stale_map(self._text(importer))}
        complete = edits if len(edits) == len(importers) else {}
        diff = "".join(self._diff(m, complete[m]) for m in sorted(complete))
        return Feature(module, tuple(modules), size, complete, diff, "; ".join(why))

    def _acts(self, module: ArtifactId, modules: list[ArtifactId]) -> Iterator[str]:
        """Yield why it matters when ``modules`` are loaded."""
        for one in modules:
            if (act := effect(self._text(one))) and self._graph.artifacts[one].kind in SCRIPTS:
                yield f"{one} does something when it is loaded: {act}"
                break
        gone = frozenset({module})
        stays = [m for m in self._order(frozenset()) if m not in set(modules)]
        if self._order(gone) != stays:
            yield "other modules would be loaded in another order"
        back = {t for m in modules for t in self._eager(m)} & set(self._importing(module))
        if back:
            yield f"it imports {min(back)}, which imports it"

    def _importing(self, module: ArtifactId) -> list[ArtifactId]:
        return [m for m in self._order(frozenset()) if module in self._eager(m)]

    def _late(self, importer: ArtifactId, module: ArtifactId) -> Late:
        """Return how ``importer`` can load ``module`` late."""
        data = self._text(importer)
        named, others = statements(data)
        if any(self._target(specifier, importer) == module for specifier in others):
            return Late({}, f"{module} is imported as a whole, or passed on")
        found = [s for s in named if self._target(s.specifier, importer) == module]
        if len(found) != 1:
            return Late({}, f"{module} is imported by {len(found)} statements of names")
        wanted = late(data, found[0])
        other = sorted(wanted.used - exported_functions(self._text(module)))
        if not wanted.unsafe and other:
            return replace(wanted, unsafe=f"{', '.join(other)} is no function of {module}")
        return wanted

    def _diff(self, module: ArtifactId, edits: Edits) -> str:
        texts = (self._text(module), edited(self._text(module), edits))
        before, after = (text.decode("utf-8", errors="replace") for text in texts)
        lines = unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            f"a/{module}",
            f"b/{module}",
            n=2,
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def with_feature(graph: Graph, store: Store, feature: Feature) -> Graph:
    """Return ``graph`` with the edits of ``feature`` made."""
    changed = []
    for module, edits in feature.edits.items():
        artifact = graph.artifacts[module]
        data = edited(store.get(artifact.digest), edits)
        changed.append(replace(artifact, digest=store.put(data), size=Bytes(len(data))))
    eager = {Edge(module, feature.module, Relation.IMPORT) for module in feature.edits}
    lazy = {Edge(module, feature.module, Relation.LAZY) for module in feature.edits}
    edges = (graph.edges - eager) | lazy
    after = replace(graph.with_artifacts(changed), edges=edges)
    return with_origins(graph, after, store, feature.edits)
