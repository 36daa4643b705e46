"""All modules of a program and what their names mean: which export of which module each is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from toolchain.program.module import NAMESPACE, Export, Import, Load, ModuleText

ModuleId = str
How = Literal["worker", "file"]


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a module that names files to be loaded at run time."""

    start: int  # byte offset
    targets: tuple[ModuleId, ...]  # scripts among them; those that are no scripts have no exports
    how: How  # "file": anybody may import it by its address, so all of its exports may be used


class Found(NamedTuple):  # not a dataclass: most of an analysis is sets of these, hashed in C
    """What a name means: one declared in ``module``, or (``*``) that module's namespace.

    ``module`` is "" for what is outside of the program.
    """

    module: ModuleId
    name: str


OUTSIDE = Found("", "")


Numbers = dict[str, tuple[int, ...]]  # of items, by name


@dataclass(frozen=True)
class Program:
    """Modules and where their specifiers lead.

    ``targets`` answers (module, specifier, whether it is required); a specifier that is not in it
    leads outside of the program. ``quiet`` are the modules whose package says that they have no
    side effects, ``entries`` those that are loaded first.
    """

    modules: Mapping[ModuleId, ModuleText]
    targets: Mapping[tuple[ModuleId, str, bool], ModuleId]
    addresses: Mapping[ModuleId, Sequence[Address]] = field(default_factory=dict)
    quiet: frozenset[ModuleId] = frozenset()
    entries: tuple[ModuleId, ...] = ()
    _imports: dict[ModuleId, dict[str, Import]] = field(default_factory=dict)
    _exports: dict[ModuleId, dict[str, Export]] = field(default_factory=dict)
    _declared: dict[ModuleId, Numbers] = field(default_factory=dict)
    _writers: dict[ModuleId, Numbers] = field(default_factory=dict)
    _found: dict[tuple[ModuleId, str], list[Found]] = field(default_factory=dict)
    _names: dict[ModuleId, frozenset[str]] = field(default_factory=dict)
    _known: dict[tuple[ModuleId, str], bool] = field(default_factory=dict)

    def target(self, module: ModuleId, specifier: str, *, require: bool = False) -> ModuleId | None:
        """Return the module that a specifier means; None if it is outside of the program."""
        return self.targets.get((module, specifier, require))

    def imports(self, module: ModuleId) -> dict[str, Import]:
        """Return the imports of a module by their local names."""
        if module not in self._imports:
            self._imports[module] = {i.local: i for i in self.modules[module].imports}
        return self._imports[module]

    def exports(self, module: ModuleId) -> dict[str, Export]:
        """Return the exports that a module states by name."""
        if module not in self._exports:
            self._exports[module] = {e.name: e for e in self.modules[module].exports}
        return self._exports[module]

    def declared(self, module: ModuleId) -> Numbers:
        """Return the numbers of the items that declare each name of a module."""
        if module not in self._declared:
            items = self.modules[module].items
            self._declared[module] = _numbers(item.declares for item in items)
        return self._declared[module]

    def writers(self, module: ModuleId) -> Numbers:
        """Return the numbers of the items that assign to each name of a module."""
        if module not in self._writers:
            items = self.modules[module].items
            self._writers[module] = _numbers(item.writes for item in items)
        return self._writers[module]

    def imported(self, module: ModuleId) -> list[ModuleId]:
        """Return the modules that a module imports, in order."""
        found = [self.target(module, c.source) for c in self.modules[module].clauses if c.source]
        return [target for target in found if target is not None]

    def in_order(self) -> list[ModuleId]:
        """Return all modules, each behind what it imports, as they are loaded; circles are cut."""
        starts = [*self.entries, *sorted(self.modules)]
        found: dict[ModuleId, None] = {}
        seen: set[ModuleId] = set()
        for start in (s for s in starts if s in self.modules and s not in seen):
            seen.add(start)
            way = [(start, iter(self.imported(start)))]
            while way:
                module, rest = way[-1]
                target = next((t for t in rest if t in self.modules and t not in seen), None)
                if target is None:
                    found[module] = None
                    way.pop()
                else:
                    seen.add(target)
                    way.append((target, iter(self.imported(target))))
        return list(found)

    def loaded(self, module: ModuleId, load: Load) -> ModuleId | None:
        """Return the module that ``import()`` or ``require`` loads."""
        return self.target(module, load.source, require=load.how == "require")

    def is_open(self, module: ModuleId) -> bool:
        """Whether the exports of a module cannot be told from its text: CommonJS, or unread."""
        return self.modules[module].form != "module" or bool(self.modules[module].problem)

    def export_names(self, module: ModuleId) -> frozenset[str]:
        """Return the names that a module exports, itself or by ``export *``; of open ones none."""
        found = self._names.get(module)
        if found is None:
            seen, todo, names = {module}, [module], set[str]()
            while todo:
                one = todo.pop()
                names |= self.exports(one).keys()
                for star in self.modules[one].stars:
                    target = self.target(one, star.source)
                    if target is not None and target in self.modules and target not in seen:
                        seen.add(target)
                        todo.append(target)
            found = self._names[module] = frozenset(names)
        return found

    def has_export(self, module: ModuleId, name: str) -> bool:
        """Whether a module exports ``name``, itself or by ``export *``; open ones may."""
        known = self._known.get((module, name))
        if known is None:  # by whole answers only: what a circle cuts short is no answer
            known = self._known[module, name] = self._has(module, name, set())
        return known

    def _has(self, module: ModuleId, name: str, seen: set[ModuleId]) -> bool:
        if module in seen:
            return False
        seen.add(module)
        if self.is_open(module) or name in self.exports(module):
            return True
        if name == "default":
            return False
        found = (self.target(module, star.source) for star in self.modules[module].stars)
        return any(t is None or self._has(t, name, seen) for t in found)

    def meaning(self, module: ModuleId, name: str) -> list[Found]:
        """Return what ``name`` means at the top of ``module``; [] if it is global."""
        imported = self.imports(module).get(name)
        if imported is not None:
            target = self.target(module, imported.source)
            return self._of(target, imported.imported)
        return [Found(module, name)] if name in self.declared(module) else []

    def exported(self, module: ModuleId, name: str) -> list[Found]:
        """Return what ``name`` means to who imports it from ``module``; several if ambiguous."""
        found = self._found.get((module, name))
        if found is None:
            found = list(dict.fromkeys(self._exported(module, name, set())))
            self._found[module, name] = found
        return found

    def _of(self, target: ModuleId | None, imported: str) -> list[Found]:
        if target is None:
            return [OUTSIDE]
        if imported == NAMESPACE:
            return [Found(target, NAMESPACE)]
        return self.exported(target, imported)

    def _stated(
        self, module: ModuleId, export: Export, seen: set[tuple[ModuleId, str]]
    ) -> Iterator[Found]:
        """Yield what an export that a module states by name means."""
        source, name = export.source, export.imported
        if not source:
            imported = self.imports(module).get(export.local)
            if imported is None:
                yield Found(module, export.local)
                return
            source, name = imported.source, imported.imported
        target = self.target(module, source)
        if target is None:
            yield OUTSIDE
        elif name == NAMESPACE:
            yield Found(target, NAMESPACE)
        else:
            yield from self._exported(target, name, seen)

    def _exported(
        self, module: ModuleId, name: str, seen: set[tuple[ModuleId, str]]
    ) -> Iterator[Found]:
        if (module, name) in seen:
            return
        seen.add((module, name))
        if self.is_open(module):
            yield OUTSIDE
            return
        export = self.exports(module).get(name)
        if export is not None:
            yield from self._stated(module, export, seen)
            return
        for star in self.modules[module].stars:
            target = self.target(module, star.source)
            if target is None:
                yield OUTSIDE
            elif self.has_export(target, name):
                yield from self._exported(target, name, seen)


def _numbers(named: Iterable[Iterable[str]]) -> Numbers:
    found: Numbers = {}
    for number, names in enumerate(named):
        for name in names:
            found[name] = (*found.get(name, ()), number)
    return found
