"""Says of packages, modules, exports and declarations whether they are live, dead or unknown.

Bytes are measured by removal: those of the text that the edits of tree shaking take out of a copy;
where nothing is left of a module or package, those of its files. A declaration that only other
dead code uses is dead: the edits are made together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from toolchain.analysis.packages import package_of
from toolchain.analysis.reachability import loadable
from toolchain.formats.compression import ANALYSIS, Codec, encode
from toolchain.ir import ArtifactId, Graph, Store
from toolchain.program.edits import Edits, spliced
from toolchain.program.module import Export, Item, ModuleText
from toolchain.program.program import ModuleId
from toolchain.program.shaking import Shaking, kept_edges, shaking
from toolchain.program.source import SCRIPTS


class State(StrEnum):
    """Whether something is needed; nobody knows of what is ``unknown``."""

    LIVE = "live"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Use:
    """An export or a declaration of a module. ``span`` is its bytes; of an export, its item's."""

    name: str  # "" for a statement that declares nothing
    line: int
    span: tuple[int, int]
    state: State
    why: str = ""  # of what is unknown
    size: int = 0  # bytes that go with it alone; 0 where only its name goes


@dataclass(frozen=True, slots=True)
class Saved:
    """Bytes that a removal takes out of files, each compressed alone with gzip as well."""

    raw: int = 0
    gzip: int = 0

    def __add__(self, other: Saved) -> Saved:
        return Saved(self.raw + other.raw, self.gzip + other.gzip)


@dataclass(frozen=True, slots=True)
class ModuleUse:
    """A module. What is dead and exported is no declaration; a dead module has neither."""

    module: ModuleId
    state: State
    why: str = ""
    is_loaded: bool = True  # by a root, whoever uses what of it
    whole: Saved = Saved()  # the file; of dead modules only
    exports: tuple[Use, ...] = ()
    declarations: tuple[Use, ...] = ()
    of_exports: Saved = Saved()  # what goes with the dead exports
    of_declarations: Saved = Saved()  # what goes besides


@dataclass
class Usage:
    """What is used of the program that a graph's roots load."""

    graph: Graph
    store: Store
    shaking: Shaking
    _uses: dict[ModuleId, ModuleUse] = field(default_factory=dict)

    def module(self, name: ModuleId) -> ModuleUse:
        """Return what is used of a script of the graph."""
        if name not in self._uses:
            self._uses[name] = self._judged(name)
        return self._uses[name]

    @cached_property
    def packages(self) -> Mapping[str, tuple[ModuleUse, ...]]:
        """All scripts of the graph's files by their package, sorted."""
        found: dict[str, list[ModuleUse]] = {}
        for name, artifact in self.graph.files.items():
            if artifact.kind in SCRIPTS and not name.endswith(_TYPES):
                found.setdefault(package_of(name), []).append(self.module(name))
        return {package: tuple(found[package]) for package in sorted(found)}

    def package(self, name: str) -> tuple[State, str]:
        """Return the state of a package, and why nobody knows it.

        Of a dead one that is loaded, the second is a module that loads it. What is not in
        ``node_modules`` is the project itself, and live.
        """
        modules = self.packages[name]
        if "node_modules" not in name.split("/"):
            return State.LIVE, ""
        states = {m.state for m in modules}
        if states == {State.DEAD}:
            return State.DEAD, self._importer(name) if any(m.is_loaded for m in modules) else ""
        if State.LIVE in states:
            return State.LIVE, ""
        return State.UNKNOWN, next(m.why for m in modules if m.state is State.UNKNOWN)

    def _importer(self, package: str) -> str:
        """Return the first module outside of a package that loads something of it."""
        program = self.shaking.program
        for module in sorted(self.shaking.found.executed):
            if package_of(ArtifactId(module)) != package and any(
                package_of(ArtifactId(t)) == package for t in program.imported(module)
            ):
                return module
        return "a name that is computed"

    @cached_property
    def _computed(self) -> dict[ModuleId, str]:
        """The modules that a computed name may mean, and where it is computed."""
        source, program = self.shaking.source, self.shaking.program
        named = {t for m in self.shaking.found.executed for t in program.imported(m)}
        found: dict[ModuleId, str] = {}
        for module in sorted(self.shaking.found.executed):
            lines = {m.start: m.line for m in source.mentions[module] if m.computed}
            for address in program.addresses.get(module, ()):
                if address.start in lines:
                    why = f"{module}:{lines[address.start]} may load it by a computed name"
                    found.update({t: why for t in address.targets if t not in named | found.keys()})
        return found

    @cached_property
    def _loadable(self) -> frozenset[ArtifactId]:
        """What may be loaded once the dead code is gone: unknown names in it mean nothing."""
        return loadable(replace(self.graph, edges=kept_edges(self.graph, self.shaking)))

    def _judged(self, name: ModuleId) -> ModuleUse:
        found, text = self.shaking.found, self.shaking.program.modules.get(name)
        if text is None or name not in found.executed:
            return self._unloaded(name)
        if text.problem:
            return ModuleUse(name, State.UNKNOWN, f"not understood: {text.problem}")
        if name in self._computed:
            return ModuleUse(name, State.UNKNOWN, self._computed[name])
        if text.form == "script" and any(item.declares for item in text.items):
            return ModuleUse(name, State.UNKNOWN, _SCRIPT)
        is_needed = name in found.included | found.started | self.shaking.editor.ordered
        if not is_needed:
            return ModuleUse(name, State.DEAD, whole=self._whole(name))
        return self._parts(name, text)

    def _unloaded(self, name: ModuleId) -> ModuleUse:
        if ArtifactId(name) in self._loadable:
            return ModuleUse(name, State.UNKNOWN, "a name that is computed may mean it")
        return ModuleUse(name, State.DEAD, is_loaded=False, whole=self._whole(name))

    def _whole(self, name: ModuleId) -> Saved:
        data = self.shaking.source.files.read(name)
        return Saved(len(data), _gzip(data))

    # inside a module

    def _parts(self, name: ModuleId, text: ModuleText) -> ModuleUse:
        data = self.shaking.source.files.read(name)
        items = [self._item(name, text, number, data) for number in range(len(text.items))]
        exported = self._exported(name, text)
        exports = tuple(self._exports(name, text, items, data))
        rest = tuple(
            use
            for number, use in enumerate(items)
            if number not in exported or (use.state is not State.DEAD and use.name)
        )
        edits = self.shaking.editor.edits(name, data)
        if not edits:
            return ModuleUse(name, State.LIVE, exports=exports, declarations=rest)
        of_exports = _saved(data, dict(_touching(edits, text, exported)))
        whole = _saved(data, edits)
        besides = Saved(whole.raw - of_exports.raw, whole.gzip - of_exports.gzip)
        return ModuleUse(
            name,
            State.LIVE,
            exports=exports,
            declarations=rest,
            of_exports=of_exports,
            of_declarations=besides,
        )

    def _item(self, name: ModuleId, text: ModuleText, number: int, data: bytes) -> Use:
        item = text.items[number]
        what = ", ".join(n for n in item.declares if n[0] != "*") or ", ".join(item.gives)
        line = data.count(b"\n", 0, item.start) + 1
        span = (item.start, item.end)
        if (name, number) not in self.shaking.found.items:
            size = _alone(data, text, item)
            return Use(what, line, span, State.DEAD, size=size)
        why = self._doubt(name, text, number)
        return Use(what, line, span, State.UNKNOWN if why else State.LIVE, why)

    def _doubt(self, name: ModuleId, text: ModuleText, number: int) -> str:
        """Return why nobody knows whether an item is needed that is kept; "" if it is."""
        item, found = text.items[number], self.shaking.found
        if item.gives and name in found.whole:
            return "all of `exports` may be used: CommonJS as a whole"
        names = {(name, n) for n in item.declares}
        is_exported = any((name, e.name) in found.exports for e in _exports_of(text, item))
        if names & found.named or is_exported:
            return ""
        effect = self.shaking.inspection.effect(name, number)
        return "" if effect.proved or effect.changes else effect.unknown

    def _exported(self, name: ModuleId, text: ModuleText) -> frozenset[int]:
        """Return the numbers of the items that an export of the module names."""
        declared = self.shaking.program.declared(name)
        found = {n for e in text.exports for n in declared.get(e.local, ())}
        return frozenset(found | {n for n, item in enumerate(text.items) if item.gives})

    def _exports(
        self, name: ModuleId, text: ModuleText, items: list[Use], data: bytes
    ) -> Iterator[Use]:
        declared = self.shaking.program.declared(name)
        for export in text.exports:
            numbers = declared.get(export.local, ())
            is_used = (name, export.name) in self.shaking.found.exports
            state, why, size = State.LIVE if is_used else State.DEAD, "", 0
            start = text.clauses[export.clause].start if export.clause >= 0 else 0
            span = (start, start)
            for number in numbers:
                of = items[number]
                span, why = of.span, of.why
                size = of.size if of.state is State.DEAD else 0
                if of.state is State.UNKNOWN and not is_used:
                    state = State.UNKNOWN
            line = data.count(b"\n", 0, span[0]) + 1
            yield Use(export.name, line, span, state, why if state is State.UNKNOWN else "", size)
        yield from (items[n] for n, item in enumerate(text.items) if item.gives)


_SCRIPT = "it imports and exports nothing: what it declares may be global"
_TYPES = (".d.ts", ".d.mts", ".d.cts")


def usage(graph: Graph, store: Store) -> Usage | None:
    """Judge the code of a graph; None where no script is a root: then nothing is claimed.

    The last answer is kept: several checks ask about one graph.
    """
    if _LAST and _LAST[0][0] is graph and _LAST[0][1] is store:
        return _LAST[0][2]
    shaken = shaking(graph, store, graph.conditions)
    found = Usage(graph, store, shaken) if shaken is not None else None
    _LAST[:] = [(graph, store, found)]
    return found


_LAST: list[tuple[Graph, Store, Usage | None]] = []


def _exports_of(text: ModuleText, item: Item) -> Iterator[Export]:
    return (e for e in text.exports if not e.source and e.local in item.declares)


def _touching(
    edits: Edits, text: ModuleText, exported: frozenset[int]
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the edits of export lists, and of statements that declare what is exported."""
    named = {text.items[number].of for number in exported}
    lists = {e.clause for e in text.exports if e.clause >= 0} | {s.clause for s in text.stars}
    spans = named | {(text.clauses[c].start, text.clauses[c].end) for c in lists}
    return ((span, new) for span, new in edits.items() if span in spans)


def _alone(data: bytes, text: ModuleText, item: Item) -> int:
    """Return the bytes that go if nothing but ``item`` does."""
    parts = [one for one in text.items if one.of == item.of and one is not item]
    if not parts:
        return len(data) - len(spliced(data, {item.of: b""}))
    others = [one for one in text.items if one.of == item.of]
    kept = sum(one.end - one.start for one in parts) + 2 * (len(parts) - 1)
    return others[-1].end - others[0].start - kept


def _saved(data: bytes, edits: Edits) -> Saved:
    left = spliced(data, edits)
    return Saved(len(data) - len(left), _gzip(data) - _gzip(left))


def _gzip(data: bytes) -> int:
    return len(encode(data, Codec.GZIP, ANALYSIS.gzip))
