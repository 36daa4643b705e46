"""Make one package of several copies or versions, where content or the ranges asked for allow it.

What it does
    A package in a nested ``node_modules`` goes where its users then find another copy further out
    that is the same, byte for byte, or of a version that all of them accept (``versions``). Of
    copies that cannot go, since another version is in the way or the better one lies further in,
    the modules that are imported become a line that passes on the names of the copy that stays
    (``forward``). No import statement changes.

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

from dataclasses import dataclass

from semantic_version import Version

from toolchain.analysis.reachability import loadable
from toolchain.installed import Copy, Installed, installed
from toolchain.ir import Graph, Store
from toolchain.merging import Merging, Modules
from toolchain.passes.base import GraphPass


@dataclass(frozen=True)
class DedupeModules(GraphPass):
    """One copy of each package. ``conditions`` are those of package.json's ``exports``."""

    proof = "same-modules"

    versions: bool = True
    forward: bool = True
    conditions: tuple[str, ...] = ("browser", "module")

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with fewer copies; ``graph`` itself where all are needed."""
        modules = Modules(store)
        while (merged := self._once(graph, modules)) is not None:
            graph = merged
        return graph

    def _once(self, graph: Graph, modules: Modules) -> Graph | None:
        """Return the graph with one copy fewer, the innermost first; None where none can go."""
        found = installed(graph, modules.store)
        named = found.several()
        copies = [copy for several in named.values() for copy in several]
        copies.sort(key=lambda c: (-c.folder.count("/"), c.folder))
        work = Merging(graph, modules, frozenset(self.conditions))
        for copy in copies:
            outer = found.behind(copy)
            if outer is not None and self._may_go(copy, outer, found):
                merged = work.without(copy, outer)
                if merged is not None:
                    return merged
        return self._passed_on(work, copies, found) if self.forward else None

    def _passed_on(self, work: Merging, copies: list[Copy], found: Installed) -> Graph | None:
        """Return the graph with one copy more that passes on another one."""
        used = loadable(work.graph) if work.graph.roots else work.graph.artifacts.keys()
        named = found.several()
        for copy in copies:
            if not any(f"{copy.folder}/{inner}" in used for inner in copy.files):
                continue
            for other in _targets(named[copy.name]):
                merged = None
                if _comes_first(other, copy):
                    merged = work.forwarding(copy, other)
                elif self.versions and _is_better(other, copy, found):
                    merged = work.leading(copy, other)
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
        return self.versions and found.fits_all(copy, outer)


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


def _targets(copies: list[Copy]) -> list[Copy]:
    """Return copies as they are worth passing on: the newest first, then the outermost."""
    return sorted(sorted(copies, key=_order), key=_version, reverse=True)


def _version(copy: Copy) -> Version:
    try:
        return Version(copy.version)
    except ValueError:
        return Version("0.0.0")


def _is_better(other: Copy, copy: Copy, found: Installed) -> bool:
    """Whether all who see ``copy`` accept ``other``, and not the other way round as well.

    Where both would do for all, the newer one is better.
    """
    if copy.version == other.version or copy.called != other.called:
        return False
    if not found.fits_all(copy, other) or not _same_peers(copy, other, found):
        return False
    return not found.fits_all(other, copy) or _version(other) > _version(copy)
