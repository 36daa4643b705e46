"""Make one package of several copies or versions, where content or the ranges asked for allow it.

What it does
    A package in a nested ``node_modules`` goes where its users then find another copy further out
    that is the same, byte for byte, or of a version that all of them accept (``versions``). Of
    equal copies that cannot go, since another version is in the way, one stays; the modules of the
    others become a line that passes on its names (``forward``). No import statement changes.

Why
    Who installs gets copies: two packages ask for one version of a third, and a second version lies
    where npm would have put it. Each copy is downloaded, parsed and run by itself.

Keeps
    Versions that somebody's range excludes (the check `duplicate-package` names them), and those
    of which nobody says what would do. Files patched within one version, copies whose peers are
    not the same, modules that load a name nobody can know, roots. Files other than scripts of a
    copy that stays: assets are data, and the check `duplicate-file` names them.
    State of a package is then shared by those who had a copy each: what `npm dedupe` does and what
    singletons (contexts, registries, `instanceof`) need. Where copies are meant, turn the pass off.

Source
    npm-dedupe (npm 10): "a dependency is moved up the tree, or removed if the version further up
    satisfies"; resolution: Node.js 22, "Loading from node_modules folders". The forwarding is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from posixpath import dirname, relpath

from toolchain.analysis.reachability import loadable
from toolchain.formats.forwarding import forwarded, forwarding
from toolchain.formats.javascript import Module, read
from toolchain.formats.node_resolution import Resolver
from toolchain.installed import Copy, GraphFiles, Installed, fits, installed
from toolchain.ir import Artifact, ArtifactId, Digest, Edge, Graph, Kind, Relation, Store
from toolchain.ir.artifact import ABSENT_KINDS
from toolchain.passes.base import GraphPass
from toolchain.units import Bytes

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_LOADS = frozenset({"import", "import()", "require"})


@dataclass(frozen=True)
class DedupeModules(GraphPass):
    """One copy of each package. ``conditions`` are those of package.json's ``exports``."""

    proof = "same-modules"

    versions: bool = True
    forward: bool = True
    conditions: tuple[str, ...] = ("browser", "module")

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with fewer copies; ``graph`` itself where all are needed."""
        modules = _Modules(store)
        while (merged := self._once(graph, modules)) is not None:
            graph = merged
        return graph

    def _once(self, graph: Graph, modules: _Modules) -> Graph | None:
        """Return the graph with one copy fewer, the innermost first; None where none can go."""
        found = installed(graph, modules.store)
        copies = [c for several in found.several().values() for c in several]
        copies.sort(key=lambda c: (-c.folder.count("/"), c.folder))
        work = _Work(graph, modules, frozenset(self.conditions))
        for copy in copies:
            outer = found.behind(copy)
            if outer is not None and self._may_go(copy, outer, found):
                merged = work.without(copy, outer)
                if merged is not None:
                    return merged
        used = loadable(graph) if graph.roots else graph.artifacts.keys()
        for copy in copies if self.forward else ():
            if not any(f"{copy.folder}/{inner}" in used for inner in copy.files):
                continue
            for other in found.several()[copy.name]:
                merged = work.forwarding(copy, other) if _comes_first(other, copy) else None
                if merged is not None:
                    return merged
        return None

    def _may_go(self, copy: Copy, outer: Copy, found: Installed) -> bool:
        """Whether all who see ``copy`` may as well see ``outer``."""
        named = copy.name == outer.name and copy.version and outer.version
        if not named or not _same_peers(copy, outer, found):
            return False
        if copy.version == outer.version:
            return copy.files == outer.files
        asks = found.asks.get(copy.folder, ())
        return self.versions and bool(asks) and all(fits(a, copy.called, outer) for a in asks)


def _same_peers(copy: Copy, other: Copy, found: Installed) -> bool:
    """Whether what the two share with their users is the same for both."""
    peers = {*copy.peers, *other.peers}
    return all(found.visible(copy.folder, p) is found.visible(other.folder, p) for p in peers)


def _comes_first(one: Copy, other: Copy) -> bool:
    """Whether ``one`` is what an equal ``other`` passes on: outermost, and first by name."""
    equal = one.version == other.version and one.files == other.files
    return equal and _order(one) < _order(other)


def _order(copy: Copy) -> tuple[int, str]:
    return copy.folder.count("/"), copy.folder


@dataclass(frozen=True)
class _Modules:
    """A store, and every module that was read out of it once."""

    store: Store
    known: dict[Digest, Module] = field(default_factory=dict)

    def data(self, graph: Graph, name: ArtifactId) -> bytes:
        return self.store.get(graph.artifacts[name].digest)

    def read(self, graph: Graph, name: ArtifactId) -> Module:
        digest = graph.artifacts[name].digest
        if digest not in self.known:
            self.known[digest] = read(self.store.get(digest))
        return self.known[digest]


@dataclass(frozen=True)
class _Work:
    """A graph, and what is asked of it to take copies out."""

    graph: Graph
    modules: _Modules
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
        made = [self._forward(s, copy, other) for s in scripts]
        ids = {s.id for s in scripts}
        edges = frozenset(e for e in graph.edges if e.source not in ids)
        led = {Edge(s.id, _twin(s.id, copy, other), Relation.IMPORT) for s in scripts}
        after = replace(graph, edges=edges | led).with_artifacts(made)
        return _without_orphans(graph, after)

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
        return not any(
            self.graph.artifacts[e.target].kind is Kind.UNKNOWN
            for e in self.graph.edges
            if e.source == script.id
        )

    def _last(self, found: object, copy: Copy, other: Copy) -> object:
        """Return the file that is really loaded: a twin of ``copy`` is the other's."""
        if not isinstance(found, str) or found not in self.graph.artifacts:
            return found
        target = forwarded(self.modules.data(self.graph, ArtifactId(found)))
        if target is not None:
            return self._resolver(self.graph).resolve(target, found)
        inner = found.removeprefix(f"{copy.folder}/")
        return _twin(ArtifactId(found), copy, other) if inner in copy.files else found

    def _forward(self, script: Artifact, copy: Copy, other: Copy) -> Artifact:
        twin = _twin(script.id, copy, other)
        package = self._resolver(self.graph).package_of(script.id)
        typed = package is not None and package[1].fields.get("type") == "module"
        address = relpath(twin, dirname(script.id))
        data = forwarding(self._module(script.id), script.id, address, is_typed_module=typed)
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
    return after.keep(
        {
            i
            for i, a in after.artifacts.items()
            if a.kind not in ABSENT_KINDS or i in asked or not _was_asked(before, i)
        }
    )


def _was_asked(graph: Graph, name: ArtifactId) -> bool:
    return any(e.target == name for e in graph.edges)
