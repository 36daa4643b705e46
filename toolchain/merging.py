"""Three ways to have one copy of a package fewer: without it, or passing on an equal or better one.

Import statements stay as they are. A copy that somebody sees goes only if everything that leads
into it is known to lead, by the same name, into the copy that stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from posixpath import dirname, relpath

from toolchain.formats.forwarding import forwarded, forwarding, is_module
from toolchain.formats.javascript import Module, read
from toolchain.formats.node_resolution import Resolver
from toolchain.formats.package_json import split_bare
from toolchain.installed import Copy, GraphFiles
from toolchain.ir import Artifact, ArtifactId, Digest, Edge, Graph, Kind, Relation, Store
from toolchain.ir.artifact import ABSENT_KINDS
from toolchain.origins import with_origins
from toolchain.units import Bytes

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_LOADS = frozenset({"import", "import()", "require"})


@dataclass(frozen=True)
class Modules:
    """A store, and every module that was read out of it once."""

    store: Store
    known: dict[Digest, Module] = field(default_factory=dict)

    def data(self, graph: Graph, name: ArtifactId) -> bytes:
        """Return the bytes of a file."""
        return self.store.get(graph.artifacts[name].digest)

    def read(self, graph: Graph, name: ArtifactId) -> Module:
        """Return what a module says."""
        digest = graph.artifacts[name].digest
        if digest not in self.known:
            self.known[digest] = read(self.store.get(digest))
        return self.known[digest]


@dataclass(frozen=True)
class Merging:
    """A graph, and the three ways to have one copy of a package fewer in it; each may fail."""

    graph: Graph
    modules: Modules
    conditions: frozenset[str]

    def without(self, copy: Copy, outer: Copy) -> Graph | None:
        """Return the graph without ``copy``, its users led to ``outer``; None if one cannot be."""
        graph = self.graph
        inside = f"{copy.folder}/"
        gone = {i for i in graph.artifacts if i.startswith(inside)}
        if gone & graph.roots:
            return None
        into = [e for e in graph.edges if e.target in gone and e.source not in gone]
        kept = graph.keep(graph.artifacts.keys() - gone)
        led: list[Edge] = []
        for edge in sorted(into):
            targets = self._instead(edge, outer, kept)
            if not targets:
                return None
            led += [replace(edge, target=t) for t in targets]
        return _without_orphans(graph, kept.with_edges(led))

    def _instead(self, edge: Edge, outer: Copy, kept: Graph) -> set[ArtifactId]:
        """Return what ``edge`` means when ``copy`` is gone; nothing where nobody can know."""
        graph = self.graph
        if graph.artifacts[edge.source].kind not in _SCRIPTS:
            return set()
        before, after = self._resolver(graph), self._resolver(kept)
        targets: set[ArtifactId] = set()
        for mention in self._module(edge.source).mentions:
            require = mention.how == "require"
            if mention.computed or mention.how not in _LOADS:
                continue
            if before.resolve(mention.target, edge.source, require=require) != edge.target:
                continue
            now = after.resolve(mention.target, edge.source, require=require)
            if not isinstance(now, str) or not now.startswith(f"{outer.folder}/"):
                return set()
            targets.add(ArtifactId(now))
        return targets

    def forwarding(self, copy: Copy, other: Copy) -> Graph | None:
        """Return the graph with the modules of ``copy`` passing on those of ``other``."""
        graph = self.graph
        scripts = [
            graph.artifacts[ArtifactId(f"{copy.folder}/{inner}")]
            for inner in sorted(copy.files)
            if graph.artifacts[ArtifactId(f"{copy.folder}/{inner}")].kind in _SCRIPTS
        ]
        if any(s.kind is Kind.TS or s.id in graph.roots for s in scripts):
            return None
        if any(forwarded(self.modules.store.get(s.digest)) for s in scripts):
            return None  # done already: equal by what they pass on
        if not scripts or not all(self._reaches_the_same(s, copy, other) for s in scripts):
            return None
        made = [self._line(s, _twin(s.id, copy, other)) for s in scripts]
        ids = {s.id for s in scripts}
        edges = frozenset(e for e in graph.edges if e.source not in ids)
        led = {Edge(s.id, _twin(s.id, copy, other), Relation.IMPORT) for s in scripts}
        after = replace(graph, edges=edges | led).with_artifacts(made)
        return _without_orphans(graph, self._without_origins(after, ids))

    def leading(self, copy: Copy, other: Copy) -> Graph | None:
        """Return the graph with what is imported of ``copy`` passing on what ``other`` has for it.

        None where somebody names a file in another way than by the package, or a module of another
        format, or one that passes on already.
        """
        graph = self.graph
        inside = f"{copy.folder}/"
        led: dict[ArtifactId, ArtifactId] = {}
        for edge in sorted(graph.edges):
            if not edge.target.startswith(inside) or edge.source.startswith(inside):
                continue
            targets = self._beside(edge, copy, other)
            targets |= {led[edge.target]} if edge.target in led else set()
            if len(targets) != 1 or edge.target in graph.roots:
                return None
            led[edge.target] = targets.pop()
        if not led or not all(self._may_lead(old, new) for old, new in led.items()):
            return None
        made = [self._line(graph.artifacts[old], new) for old, new in led.items()]
        edges = frozenset(e for e in graph.edges if e.source not in led)
        edges |= {Edge(old, new, Relation.IMPORT) for old, new in led.items()}
        after = replace(graph, edges=edges).with_artifacts(made)
        return _without_orphans(graph, self._without_origins(after, led))

    def _without_origins(self, after: Graph, made: Iterable[ArtifactId]) -> Graph:
        """Say that the text of ``made`` came from nowhere in the modules that they were."""
        return with_origins(self.graph, after, self.modules.store, dict.fromkeys(made))

    def _beside(self, edge: Edge, copy: Copy, other: Copy) -> set[ArtifactId]:
        """Return what the names by which ``edge`` asks mean where ``other`` is seen."""
        if self.graph.artifacts[edge.source].kind not in _SCRIPTS:
            return set()
        resolver = self._resolver(self.graph)
        targets: set[ArtifactId] = set()
        for mention in self._module(edge.source).mentions:
            require = mention.how == "require"
            if mention.computed or mention.how not in _LOADS:
                continue
            if resolver.resolve(mention.target, edge.source, require=require) != edge.target:
                continue
            now = resolver.resolve(mention.target, f"{other.around}/-", require=require)
            if split_bare(mention.target)[0] != copy.called or not isinstance(now, str):
                return set()
            if not now.startswith(f"{other.folder}/"):
                return set()
            targets.add(ArtifactId(now))
        return targets

    def _may_lead(self, old: ArtifactId, new: ArtifactId) -> bool:
        """Whether a line in the place of ``old`` can pass on ``new``."""
        kinds = {self.graph.artifacts[i].kind for i in (old, new)}
        lines = (forwarded(self.modules.data(self.graph, i)) for i in (old, new))
        return kinds == {Kind.JS} and not any(lines) and self._is_esm(old) == self._is_esm(new)

    def _is_esm(self, name: ArtifactId) -> bool:
        return is_module(self._module(name), name, is_typed_module=self._is_typed(name))

    def _is_typed(self, name: ArtifactId) -> bool:
        package = self._resolver(self.graph).package_of(name)
        return package is not None and package[1].fields.get("type") == "module"

    @cached_property
    def _blind(self) -> frozenset[ArtifactId]:
        """The modules that load a name nobody can know."""
        kinds = self.graph.artifacts
        return frozenset(e.source for e in self.graph.edges if kinds[e.target].kind is Kind.UNKNOWN)

    def _reaches_the_same(self, script: Artifact, copy: Copy, other: Copy) -> bool:
        """Whether all that a module names is the same from where its twin lies."""
        resolver = self._resolver(self.graph)
        for mention in self._module(script.id).mentions:
            if mention.how not in _LOADS or mention.target.startswith("."):
                continue
            require = mention.how == "require"
            here = resolver.resolve(mention.target, script.id, require=require)
            twin = _twin(script.id, copy, other)
            there = resolver.resolve(mention.target, twin, require=require)
            if mention.computed or self._last(here, copy, other) != self._last(there, copy, other):
                return False
        return script.id not in self._blind

    def _last(self, found: object, copy: Copy, other: Copy) -> object:
        """Return the file that is really loaded: a twin of ``copy`` is the other's."""
        if not isinstance(found, str) or found not in self.graph.artifacts:
            return found
        target = forwarded(self.modules.data(self.graph, ArtifactId(found)))
        if target is not None:
            return self._resolver(self.graph).resolve(target, found)
        inner = found.removeprefix(f"{copy.folder}/")
        return _twin(ArtifactId(found), copy, other) if inner in copy.files else found

    def _line(self, script: Artifact, target: ArtifactId) -> Artifact:
        """Return ``script`` as the line that passes on ``target``."""
        address = relpath(target, dirname(script.id))
        typed = self._is_typed(script.id)
        data = forwarding(self._module(target), script.id, address, is_typed_module=typed)
        return replace(script, digest=self.modules.store.put(data), size=Bytes(len(data)))

    def _module(self, name: ArtifactId) -> Module:
        return self.modules.read(self.graph, name)

    def _resolver(self, graph: Graph) -> Resolver:
        return Resolver(GraphFiles(graph, self.modules.store), self.conditions)


def _twin(name: ArtifactId, copy: Copy, other: Copy) -> ArtifactId:
    return ArtifactId(other.folder + name[len(copy.folder) :])


def _without_orphans(before: Graph, after: Graph) -> Graph:
    """Leave out what is nowhere and what nobody asks for any more."""
    asked = {e.target for e in after.edges}
    gone = {e.target for e in before.edges} - asked
    return after.keep(
        {i for i, a in after.artifacts.items() if a.kind not in ABSENT_KINDS or i not in gone}
    )
