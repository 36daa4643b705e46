"""Proof that fewer copies of packages are the same program.

Two things are compared. By names: every import of every module leads to the file that it led to,
to an equal one of another copy of the same package and version, or into a version that the
importer's own ``package.json`` accepts; what is gone are whole packages, what is new are modules
that do nothing but pass on an equal one. By running: each root, bundled with nothing removed, is
loaded in node before and after, and exports the same names with the same types, or fails alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from toolchain.analysis.packages import package_of
from toolchain.errors import InputError
from toolchain.formats import esbuild
from toolchain.formats.code_folder import code_folder
from toolchain.formats.esbuild_plugins import NodeStaysOutside
from toolchain.formats.forwarding import forwarded
from toolchain.formats.javascript import Module, read
from toolchain.formats.node_module import Both, Laid, Loading, load_both
from toolchain.formats.node_resolution import Resolver
from toolchain.installed import Ask, Copy, GraphFiles, Installed, fits, home, installed
from toolchain.ir import ArtifactId, Digest, Edge, Graph, Kind, Proof, Store
from toolchain.ir.artifact import ABSENT_KINDS
from toolchain.sources.tools import node, tool
from toolchain.temporary import temporary_folder

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_LOADS = frozenset({"import", "import()", "require"})
_NAME = "same-modules"
_NODE_REQUIRE = (  # code for a server asks for Node's own modules with it
    'import { createRequire as vtoolRequire } from "node:module";'
    "globalThis.require ??= vtoolRequire(import.meta.url);"
)


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare the two graphs; the detail names the first thing that differs."""
    before, after = before.without_maps(), after.without_maps()
    if before == after:
        return Proof(_NAME, holds=True, detail="no copy went")
    given = options.get("conditions", ())
    conditions = frozenset(map(str, given)) if isinstance(given, Sequence) else frozenset()
    case = _Case(before, after, store, conditions)
    try:
        problem = next(case.problems(), None)
        outcomes = [] if problem else list(case.loadings())
    except (InputError, KeyError, RecursionError) as error:
        return Proof(_NAME, holds=False, detail=f"cannot be compared: {error}")
    wrong = problem or next((text for holds, text in outcomes if not holds), None)
    told = f"{len(case.gone)} copies went, {len(case.changed)} modules pass on an equal one; "
    told += "; ".join(text for _, text in outcomes)
    return Proof(_NAME, holds=wrong is None, detail=wrong or told)


@dataclass(frozen=True)
class _Case:
    """Both graphs, and what is asked of them more than once."""

    before: Graph
    after: Graph
    store: Store
    conditions: frozenset[str]
    modules: dict[Digest, Module] = field(default_factory=dict)

    @cached_property
    def old(self) -> Installed:
        return installed(self.before, self.store)

    @cached_property
    def gone(self) -> frozenset[str]:
        """The folders of the copies that went."""
        left = installed(self.after, self.store).copies
        return frozenset(self.old.copies.keys() - left.keys())

    @cached_property
    def changed(self) -> frozenset[ArtifactId]:
        """The modules that have other bytes."""
        old = self.before.artifacts
        return frozenset(
            i for i, a in self.after.artifacts.items() if i in old and a.digest != old[i].digest
        )

    def problems(self) -> Iterator[str]:
        """Yield what is not as it was, by names alone."""
        yield from self.after.problems()
        if self.after.roots != self.before.roots:
            yield f"root {min(self.after.roots ^ self.before.roots)} is not the same"
        for name in sorted(self.after.artifacts.keys() - self.before.artifacts.keys()):
            yield f"{name} is new"
        for name in sorted(self.before.artifacts.keys() - self.after.artifacts.keys()):
            absent = self.before.artifacts[name].kind in ABSENT_KINDS
            if not absent and not any(name.startswith(f"{folder}/") for folder in self.gone):
                yield f"{name} is gone, but its package is not"
        for name in sorted(self.changed):
            yield from self._forwards(name)
        for name, artifact in sorted(self.after.artifacts.items()):
            if artifact.kind in _SCRIPTS and name not in self.changed:
                yield from self._imports(name)
        yield from self._edges()

    def _forwards(self, name: ArtifactId) -> Iterator[str]:
        """Yield what is wrong with a module that is to pass on an equal one."""
        data = self.store.get(self.after.artifacts[name].digest)
        target = forwarded(data)
        if target is None:
            yield f"{name} does more than to pass on another module"
            return
        found = self._resolver(self.after).resolve(target, name)
        if not isinstance(found, str) or found in self.changed:
            yield f"{name} passes on {target}, which is not there or passes on yet another one"
            return
        original = self.before.artifacts[name]
        equal = self.after.artifacts[ArtifactId(found)].digest == original.digest
        if not equal and not self._is_accepted(name, found):
            yield f"{name} passes on {found}, which is not what it was"
        is_default = "default" in self._module(self.after, ArtifactId(found)).exports.names
        if is_default and data.startswith(b"export") and b"{ default }" not in data:
            yield f"{name} lost its default export"

    def _is_accepted(self, name: ArtifactId, found: str) -> bool:
        """Whether all who import ``name`` accept the version of ``found``, and mean it there."""
        old, new = self._copy(name), self._copy(found)
        if old is None or new is None or not self.old.fits_all(old, new):
            return False
        inside = f"{old.folder}/"
        sources = [
            e.source
            for e in self.before.edges
            if e.target == name and not e.source.startswith(inside)
        ]
        resolver = self._resolver(self.before)
        for source in sources:
            for mention in self._module(self.before, source).mentions:
                require = mention.how == "require"
                if resolver.resolve(mention.target, source, require=require) != name:
                    continue
                if resolver.resolve(mention.target, f"{new.around}/-", require=require) != found:
                    return False
        return bool(sources)

    def _imports(self, name: ArtifactId) -> Iterator[str]:
        """Yield the imports of a module that mean something else."""
        data = self.store.get(self.after.artifacts[name].digest)
        if not any(called in data for called in self._touched):
            return
        for mention in self._module(self.after, name).mentions:
            if mention.how not in _LOADS or mention.computed:
                continue
            require = mention.how == "require"
            was = self._resolver(self.before).resolve(mention.target, name, require=require)
            now = self._resolver(self.after).resolve(mention.target, name, require=require)
            if isinstance(was, str) and was != now and not self._is_instead(name, was, now):
                yield f"{name}: {mention.target!r} meant {was}, now {now}"

    @cached_property
    def _touched(self) -> tuple[bytes, ...]:
        """What the packages are called of which a copy went."""
        return tuple(sorted({self.old.copies[folder].called.encode() for folder in self.gone}))

    def _is_instead(self, importer: str, was: str, now: object) -> bool:
        """Whether ``now`` may stand for ``was``: equal, or of a version that is asked for."""
        if not isinstance(now, str):
            return False
        old, new = self._copy(was), self._copy(now)
        if old is None or new is None or old.folder not in self.gone or old.name != new.name:
            return False
        if old.version == new.version:
            inner = was[len(old.folder) :], now[len(new.folder) :]
            return old.files == new.files and inner[0] == inner[1]
        asker = home(importer, {**self.old.copies, **dict.fromkeys(self._askers)})
        asks = (a for a in self.old.asks.get(old.folder, ()) if a.asker == asker)
        return any(fits(ask, old.called, new) for ask in asks)

    @cached_property
    def _askers(self) -> frozenset[str]:
        asks: Iterator[Ask] = (a for several in self.old.asks.values() for a in several)
        return frozenset(a.asker for a in asks)

    def _edges(self) -> Iterator[str]:
        """Yield the edges that appeared or went without a copy or a module being the reason."""
        now: dict[ArtifactId, list[Edge]] = {}
        for edge in self.after.edges:
            now.setdefault(edge.source, []).append(edge)
        for edge in sorted(self.before.edges - self.after.edges):
            if edge.source not in self.after.artifacts or edge.source in self.changed:
                continue
            instead = (e for e in now.get(edge.source, ()) if e.relation is edge.relation)
            if not any(self._is_led(edge.target, e.target) for e in instead):
                yield f"the edge {edge.source} -> {edge.target} ({edge.relation}) is gone"
        had = {(e.source, e.relation) for e in self.before.edges - self.after.edges}
        for edge in sorted(self.after.edges - self.before.edges):
            if edge.source not in self.changed and (edge.source, edge.relation) not in had:
                yield f"the edge {edge.source} -> {edge.target} ({edge.relation}) is new"

    def _is_led(self, was: ArtifactId, now: ArtifactId) -> bool:
        """Whether ``now`` lies in another copy of the package of which ``was`` went."""
        old, new = self._copy(was), self._copy(now)
        return (
            old is not None and new is not None and old.folder in self.gone and old.name == new.name
        )

    def loadings(self) -> Iterator[tuple[bool, str]]:
        """Load each root in node before and after."""
        roots = [r for r in sorted(self.before.roots) if self.before.artifacts[r].kind in _SCRIPTS]
        if not roots:
            return
        with temporary_folder(prefix="vtool-load-") as name:
            folder = Path(name).resolve()
            sides = folder / "old", folder / "new"
            was = self._lay_out(self.before, roots, sides[0])
            now = self._lay_out(self.after, roots, sides[1])
            for number, root in enumerate(roots):
                both = Both(Loading((), was), Loading((), now))
                if not was and not now:
                    old, new = (Laid(side / f"{number}.js", side) for side in sides)
                    both = load_both(node(), old, new)
                yield both.are_alike, _told(root, both.ours, both.theirs)

    def _lay_out(self, graph: Graph, roots: Sequence[ArtifactId], folder: Path) -> str:
        """Bundle each root, as its number, with nothing removed; return why that cannot be."""
        outside = {
            i.partition(":")[2] for i, a in graph.artifacts.items() if a.kind is Kind.EXTERNAL
        }
        platform = "browser" if "browser" in self.conditions else "node"
        flags = ["--bundle", "--format=esm", f"--platform={platform}", "--tree-shaking=false"]
        flags += [
            "--outdir=.",
            "--preserve-symlinks",
            "--target=es2022",
            f"--banner:js={_NODE_REQUIRE}",
        ]
        flags += [f"--conditions={','.join(sorted(self.conditions))}"]
        flags += [f"--external:{name}" for name in sorted(outside)]
        entries = {f"{number}": str(root) for number, root in enumerate(roots)}
        with (
            code_folder(graph.files.values(), self.store) as code,
            esbuild.service(tool("esbuild")) as service,
        ):
            plugin = NodeStaysOutside(code, graph.files, self.conditions)
            result = service.build(esbuild.Build(code, entries, tuple(flags), plugin))
        if result.errors:
            return f"it does not bundle: {result.errors[0].text}"
        for output in result.outputs:
            (folder / output.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / output.path).write_bytes(output.data)
        (folder / "package.json").write_text('{"type": "module"}', "utf-8")
        return ""

    def _copy(self, name: str) -> Copy | None:
        return self.old.copies.get(package_of(ArtifactId(name)))

    def _resolver(self, graph: Graph) -> Resolver:
        return Resolver(GraphFiles(graph, self.store), self.conditions)

    def _module(self, graph: Graph, name: ArtifactId) -> Module:
        digest = graph.artifacts[name].digest
        if digest not in self.modules:
            self.modules[digest] = read(self.store.get(digest))
        return self.modules[digest]


def _told(root: str, was: Loading, now: Loading) -> str:
    if was.is_like(now):
        if was.error:
            return f"{root} fails to load in node before and after ({was.error})"
        return f"{root} loads in node with the same {len(was.exports)} exports"
    if was.error or now.error:
        return f"{root} in node before: {was.error or 'loads'}; after: {now.error or 'loads'}"
    different = sorted({name for name, _ in set(was.exports) ^ set(now.exports)})
    return f"{root} gives other values for {different}"
