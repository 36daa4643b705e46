"""The program in a graph: its modules, and which edges the code in each of their items asks for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from posixpath import dirname, relpath
from weakref import finalize

from toolchain.execution.local import LocalPool
from toolchain.formats.javascript import Mention
from toolchain.formats.javascript_targets import Targets
from toolchain.formats.javascript_text import without_query
from toolchain.formats.package_json import has_side_effects
from toolchain.formats.tsconfig import TsConfig, config_of
from toolchain.installed import GraphFiles
from toolchain.ir import ArtifactId, Digest, Edge, Graph, Kind, Relation, Store
from toolchain.program.module import JSX, WHOLE, ModuleText
from toolchain.program.program import Address, How, ModuleId, Program
from toolchain.program.reading import POOL, POOL_BYTES, Summary, Unread, not_collecting, summaries

SCRIPTS = frozenset({Kind.JS, Kind.TS})
_STATIC = frozenset({"import", "require"})
_WORKERS = frozenset({"worker", "worker url"})


_LARGE = 1000  # ours: modules of a program in which collecting takes longer than it is worth
_MANY = 4  # ours: with so many times what is worth a pool, some of it will be in one
_JSX = (".jsx", ".tsx")
_RUNTIMES = ("jsx-runtime", "jsx-dev-runtime")  # React 17, "the new JSX transform"


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
        self._configs: dict[str, TsConfig | None] = {}  # by folder
        self._runtimes: dict[tuple[str, str], frozenset[ModuleId]] = {}
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
            runtimes = self._read_runtimes()
            quiet = frozenset(m for m in self.texts if self._is_quiet(m))
            if len(self.texts) > _LARGE:
                # collectors of garbage need not look at what lives as long as this does
                gc.freeze()
                finalize(self, gc.unfreeze).atexit = False
        return Program(
            self.texts, self.targets, self._addresses, quiet, (*entries, *sorted(runtimes))
        )

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
        self.texts[module] = self._with_factories(module, summary.text)
        self.mentions[module] = summary.mentions
        addresses = self._addresses[module] = tuple(self._addresses_of(module))
        return [*self._resolve(module), *(t for one in addresses for t in one.targets)]

    # what compilers put into JSX

    def _with_factories(self, module: ModuleId, text: ModuleText) -> ModuleText:
        """Return a module that uses what its JSX calls by its tsconfig.json."""
        if text.markup is None:
            return text
        config = self._config(module)
        names = config.jsx_names() if config is not None else ()
        if not names:
            return text
        called = dict.fromkeys(names, frozenset({WHOLE}))
        items = (replace(i, uses={**i.uses, **called}) if JSX in i.uses else i for i in text.items)
        return replace(text, items=tuple(items))

    def _config(self, module: ModuleId) -> TsConfig | None:
        folder = dirname(module)
        if folder not in self._configs:
            self._configs[folder] = config_of(module, self.files)
        return self._configs[folder]

    def _read_runtimes(self) -> set[ModuleId]:
        """Read, and return, what compilers may import into the JSX of this program."""
        found: set[ModuleId] = set()
        while fresh := {r for m in self.texts for r in self._runtimes_of(m)} - found:
            found |= fresh
            self._read(sorted(fresh))
        return found

    def _runtimes_of(self, module: ModuleId) -> frozenset[ModuleId]:
        """Return the modules that a compiler may import into a module."""
        markup = self.texts[module].markup
        if markup is None and not module.endswith(_JSX):
            return frozenset()
        key = dirname(module), markup.source if markup is not None else ""
        if key not in self._runtimes:
            found = (
                target
                for package in self._runtime_packages(module, key[1])
                for name in _RUNTIMES
                for target in self._targets.imported(f"{package}/{name}", module)
            )
            self._runtimes[key] = frozenset(t for t in found if self._is_script(t))
        return self._runtimes[key]

    def _runtime_packages(self, module: ModuleId, said: str) -> Iterable[str]:
        """Return the packages from which a compiler may import; any, where nothing says which."""
        if said:
            return (said,)
        config = self._config(module)
        runtime = config.jsx_runtime() if config is not None else ""
        return (runtime.rpartition("/")[0],) if runtime else self._offering

    @cached_property
    def _offering(self) -> tuple[str, ...]:
        """The packages that have a runtime for JSX, by what they hold or say."""
        found = set()
        for name in self.graph.files:
            _, inside, rest = name.rpartition("node_modules/")
            parts = rest.split("/")
            package = "/".join(parts[: 2 if rest.startswith("@") else 1])
            is_told = rest == f"{package}/package.json"
            if inside and (
                rest.startswith(tuple(f"{package}/{runtime}" for runtime in _RUNTIMES))
                or (is_told and any(r.encode() in self.files.read(name) for r in _RUNTIMES))
            ):
                found.add(package)
        return tuple(sorted(found))

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
        if mention.how == "path":  # what names nothing just there asks for nothing
            find = self._targets.matching_at if mention.computed else self._targets.at
            named = set(find(without_query(mention.target), module))
            return [e for e in edges if e.target in named]
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
        runtimes = self._runtimes_of(module)  # no mention asks for it, but a compiler will
        if runtimes:
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
