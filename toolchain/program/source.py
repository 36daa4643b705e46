"""The program in a graph: its modules, and which edges the code in each of their items asks for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from posixpath import relpath
from weakref import finalize

from toolchain.execution.local import LocalPool
from toolchain.formats.javascript import Mention
from toolchain.formats.javascript_targets import Targets
from toolchain.formats.javascript_text import without_query
from toolchain.formats.package_json import has_side_effects
from toolchain.ir import ArtifactId, Digest, Edge, Graph, Kind, Relation, Store
from toolchain.program.module import ModuleText
from toolchain.program.program import Address, How, ModuleId, Program
from toolchain.program.reading import POOL, POOL_BYTES, Summary, Unread, not_collecting, summaries

SCRIPTS = frozenset({Kind.JS, Kind.TS})
_STATIC = frozenset({"import", "require"})
_WORKERS = frozenset({"worker", "worker url"})


_LARGE = 1000  # ours: modules of a program in which collecting takes longer than it is worth
_MANY = 4  # ours: with so many times what is worth a pool, some of it will be in one
_JSX = (".jsx", ".tsx")
_RUNTIMES = ("jsx-runtime", "jsx-dev-runtime")  # React 17, "the new JSX transform"


class GraphFiles:
    """A graph's files as resolvers ask for them."""

    def __init__(self, graph: Graph, store: Store) -> None:
        self._graph, self._store = graph, store
        self._names = sorted(graph.files)
        self._by_name: dict[str, list[str]] = {}
        self._packages: dict[str, bytes] = {}  # every package.json that was asked for
        for name in self._names:
            self._by_name.setdefault(name.rpartition("/")[2], []).append(name)

    def __contains__(self, name: object) -> bool:
        return name in self._graph.artifacts

    def read(self, name: str, /) -> bytes:
        """Return the bytes of a file; those of each ``package.json`` are kept."""
        data = self._packages.get(name)
        if data is None:
            data = self._store.get(self._graph.artifacts[ArtifactId(name)].digest)
            if name.endswith("package.json"):  # resolvers ask for it with every import
                self._packages[name] = data
        return data

    def named(self, basename: str, /) -> Sequence[str]:
        """Return all files whose last path component is ``basename``, sorted."""
        return self._by_name.get(basename, [])

    def in_folder(self, folder: str, /) -> Sequence[str]:
        """Return all files below ``folder`` ("" is everything), sorted."""
        start = f"{folder}/" if folder else ""
        return [name for name in self._names if name.startswith(start)]


@dataclass
class Source:
    """Reads the program that a graph holds; what it is does not depend on ``pool``."""

    graph: Graph
    store: Store
    conditions: frozenset[str]
    pool: LocalPool | None = POOL
    texts: dict[ModuleId, ModuleText] = field(default_factory=dict)
    targets: dict[tuple[ModuleId, str, bool], ModuleId] = field(default_factory=dict)
    mentions: dict[ModuleId, tuple[Mention, ...]] = field(default_factory=dict)
    _addresses: dict[ModuleId, tuple[Address, ...]] = field(default_factory=dict)
    _known: dict[Digest, Summary] = field(default_factory=dict)
    _asked: dict[Digest, list[ModuleId]] = field(default_factory=dict)  # who waits for which text
    _seen: set[ModuleId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.files = GraphFiles(self.graph, self.store)
        self._targets = Targets(self.files, self.conditions)
        self._edges: dict[ModuleId, list[Edge]] = {}
        for edge in self.graph.edges:
            self._edges.setdefault(edge.source, []).append(edge)

    def program(self, entries: Iterable[ModuleId]) -> Program:
        """Return the program that ``entries`` load.

        What compilers import into JSX, and no module names, is an entry, too.
        """
        entries = tuple(entries)
        scripts = (a.size for a in self.graph.files.values() if a.kind in SCRIPTS)
        if self.pool is not None and sum(scripts) > _MANY * POOL_BYTES:
            self.pool.prepare()
        with not_collecting():
            self._read(entries)
            runtimes = self._jsx_runtimes()
            self._read(runtimes)
            quiet = frozenset(m for m in self.texts if self._is_quiet(m))
            if len(self.texts) > _LARGE:
                # collectors of garbage need not look at what lives as long as this does
                gc.freeze()
                finalize(self, gc.unfreeze).atexit = False
        return Program(self.texts, self.targets, self._addresses, quiet, (*entries, *runtimes))

    def _read(self, modules: Iterable[ModuleId]) -> None:
        """Read ``modules`` and all that they load."""
        unread = Unread(self.store)
        self._ask(modules, unread)
        for digest, summary in summaries(unread, self.pool):
            self._known[digest] = summary
            for module in self._asked.pop(digest):
                self._ask(self._take(module, summary), unread)
        # sorted: results arrive in any order
        self.texts = dict(sorted(self.texts.items()))
        self.mentions = dict(sorted(self.mentions.items()))
        self._addresses = dict(sorted(self._addresses.items()))

    def _ask(self, modules: Iterable[ModuleId], unread: Unread) -> None:
        """Have those of ``modules`` read that were not yet, each text once."""
        todo = list(modules)
        while todo:
            module = todo.pop()
            if module in self._seen or not self._is_script(module):
                continue
            self._seen.add(module)
            artifact = self.graph.artifacts[ArtifactId(module)]
            summary = self._known.get(artifact.digest)
            if summary is not None:
                todo += self._take(module, summary)
            elif artifact.digest in self._asked:
                self._asked[artifact.digest].append(module)
            else:
                self._asked[artifact.digest] = [module]
                unread.add(artifact.digest, artifact.size)

    def _take(self, module: ModuleId, summary: Summary) -> list[ModuleId]:
        """Note what a module says; return what it loads."""
        self.texts[module], self.mentions[module] = summary.text, summary.mentions
        addresses = self._addresses[module] = tuple(self._addresses_of(module))
        return [*self._resolve(module), *(t for one in addresses for t in one.targets)]

    def _jsx_runtimes(self) -> tuple[ModuleId, ...]:
        """Return the modules that a compiler may import into the JSX of this program."""
        sources = [m for m in self.texts if m.endswith(_JSX)]
        packages = {
            i.rpartition("node_modules/")[2].removesuffix("/package.json")
            for i in self.graph.files
            if i.endswith("/package.json") and "node_modules/" in i
        }
        asked = ((p, name) for p in sorted(packages) for name in _RUNTIMES)
        wanted = [(f"{package}/{name}", m) for package, name in asked for m in sources[:1]]
        found = {t for name, m in wanted for t in self._targets.imported(name, m)}
        return tuple(sorted(t for t in found if self._is_script(t)))

    def _is_script(self, name: str) -> bool:
        artifact = self.graph.artifacts.get(ArtifactId(name))
        return artifact is not None and artifact.kind in SCRIPTS

    def _resolve(self, module: ModuleId) -> list[ModuleId]:
        text = self.texts[module]
        asked = {(clause.source, False) for clause in text.clauses if clause.source}
        asked |= {(one.source, one.how == "require") for i in text.items for one in i.loads}
        found = []
        for specifier, require in sorted(asked):
            for target in self._targets.imported(specifier, module, require=require):
                if self._is_script(target):
                    self.targets[module, specifier, require] = target
                    found.append(target)
        return found

    def home(self, module: ModuleId) -> str | None:
        """Return the folder of the package that a module belongs to."""
        home = self._targets.resolver.package_of(module)
        return home[0] if home is not None else None

    def _is_quiet(self, module: ModuleId) -> bool:
        """Whether the package of a module says that loading it changes nothing."""
        home = self._targets.resolver.package_of(module)
        if home is None:
            return False
        folder, package = home
        return not has_side_effects(package, relpath(module, folder) if folder else module)

    # what code names by address

    def _addresses_of(self, module: ModuleId) -> Iterator[Address]:
        if self.texts[module].problem:  # nothing is known of what it uses of them
            targets = sorted({str(edge.target) for edge in self._edges.get(module, ())})
            yield Address(0, tuple(t for t in targets if self._is_script(t)), "file")
            return
        for mention in self.mentions[module]:
            if mention.how in _STATIC or (mention.how == "import()" and not mention.computed):
                continue
            scripts = tuple(sorted({e.target for e in self.edges_of(module, mention)}))
            found = tuple(t for t in scripts if self._is_script(t))
            how: How = "worker" if mention.how in _WORKERS and not mention.computed else "file"
            yield Address(mention.start, found, how)

    def edges_of(self, module: ModuleId, mention: Mention) -> list[Edge]:
        """Return the edges of a module that one of its mentions asks for."""
        edges = self._edges.get(module, [])
        if mention.computed:
            return [e for e in edges if e.relation is Relation.DYNAMIC]
        names = set(self._named(module, mention))
        found = [e for e in edges if e.target in names]
        if not found:  # declared by the project, or outside
            found = [e for e in edges if _may_mean(e, mention)]
        return found

    def _named(self, module: ModuleId, mention: Mention) -> list[str]:
        if mention.how in {"import", "import()", "require"}:
            require = mention.how == "require"
            return self._targets.imported(mention.target, module, require=require)
        is_url = mention.how in {"url", "worker url"}
        return self._targets.named(without_query(mention.target), module, is_url=is_url)

    def kept_edges(self, module: ModuleId, is_kept: Callable[[Mention], bool]) -> set[Edge]:
        """Return the edges of a module that the mentions in its remaining code ask for."""
        edges = self._edges.get(module, [])
        kept = {e for e in edges if e.relation in _OTHER}
        if module.endswith(_JSX):  # no mention asks for it, but a compiler will
            runtimes = frozenset(self._jsx_runtimes())
            kept |= {e for e in edges if e.target in runtimes}
        for mention in self.mentions[module]:
            if is_kept(mention):
                kept |= set(self.edges_of(module, mention))
        return kept


_OTHER = frozenset({Relation.CONTAINS, Relation.UNPACKS, Relation.ENCODES, Relation.LINK})


def _may_mean(edge: Edge, mention: Mention) -> bool:
    """Whether an edge to something outside, or to what a project declared, is of a mention."""
    if edge.relation is Relation.DYNAMIC:
        return mention.how in {"string", "worker"} or f":{mention.line}:" in edge.target
    if not edge.target.startswith("external:"):
        return False
    name = edge.target.removeprefix("external:")
    target = without_query(mention.target)
    is_same = name in {mention.target, target}
    return is_same or fnmatchcase(name, f"*{target.lstrip('./')}")
