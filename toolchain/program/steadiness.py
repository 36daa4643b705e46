"""Knows which members and variables keep the values that their declarations give them.

What one item reads, another may have changed before. So whatever any item of the program stores
somewhere is not believed to be all that is ever there; and what is reached by an item about which
nothing is known may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from toolchain.program.effects import NAMED, Place
from toolchain.program.module import AWAIT, NAMESPACE, WHOLE, Item
from toolchain.program.program import Found, ModuleId, Program

ItemId = tuple[ModuleId, int]
_ALL = frozenset({WHOLE})


@dataclass
class Steadiness:
    """Where something is stored after its declaration."""

    program: Program
    _stored: dict[Found, set[str]] = field(default_factory=dict)
    _any: set[Found] = field(default_factory=set)  # where any member may be stored
    _by_owner: dict[Found, set[ItemId]] = field(default_factory=dict)
    _stopped: set[ItemId] = field(default_factory=set)
    _touched: set[Found] = field(default_factory=set)  # by what is not followed to its end
    _late: frozenset[ModuleId] | None = None
    _waiting: frozenset[ModuleId] = frozenset()

    def __post_init__(self) -> None:
        self._by_doubtful = _Reach(self.program, self._by_owner)
        self._by_stopped = _Reach(self.program, self._by_owner)

    def is_steady(self, place: Place, module: ModuleId) -> bool:
        """Whether nothing is stored at a place before ``module`` has run."""
        owner, key = place
        stored = self._stored.get(owner, set())
        if owner in self._touched and module not in self._before_lasts:
            return False
        if key is not None and (key.startswith(NAMED) or key == "prototype"):
            return key.removeprefix("= ") not in stored
        if key in stored or owner in self._any:
            return False
        if key is None and any(not k.startswith(NAMED) for k in stored):
            return False
        return not self._is_late(module, owner.module)

    def add(self, item: ItemId, stores: Iterable[Place]) -> set[Found]:
        """Note what an item stores; return the names for which that is new."""
        fresh = set()
        for owner, key in stores:
            self._by_owner.setdefault(owner, set()).add(item)
            if self._put(owner, key):
                fresh.add(owner)
        return fresh

    def disturb(self, items: Iterable[ItemId]) -> set[Found]:
        """Note that all ``items`` may do anything; return the names for which that is new."""
        touched = self._by_stopped.from_all(self._stopped)
        for module, number in self._stopped:
            declared = self.program.modules[module].items[number].declares
            touched |= {Found(module, name) for name in declared}
        touched -= self._touched
        self._touched |= touched
        doubtful = self._by_doubtful.from_all(items)
        return touched | {owner for owner in doubtful if self._put(owner, None)}

    def stop(self, item: ItemId) -> None:
        """Note that nobody followed an item of a last module to its end."""
        self._stopped.add(item)

    def is_last(self, module: ModuleId) -> bool:
        """Whether a module is an entry that runs when all it imports has run: nobody loads it.

        So what its items do is seen only by those behind them, and by what runs later.
        """
        return module in self._lasts

    @cached_property
    def _lasts(self) -> frozenset[ModuleId]:
        """The last modules."""
        modules = self.program.modules
        lasts = {
            entry
            for entry in self.program.entries
            if entry in modules
            and modules[entry].form == "module"
            and not modules[entry].problem
            and entry not in self.program.quiet
        }
        for module, text in modules.items():
            lasts.difference_update(self.program.imported(module))
            loaded = (self.program.loaded(module, n) for item in text.items for n in item.loads)
            lasts.difference_update(one for one in loaded if one is not None)
            for address in self.program.addresses.get(module, ()):
                lasts.difference_update(address.targets)
        return frozenset(lasts)

    @cached_property
    def _before_lasts(self) -> frozenset[ModuleId]:
        """The modules that have run before each of the last ones does."""
        before = [self._closure([one]) - self._lasts for one in sorted(self._lasts)]
        return frozenset(set.intersection(*before) if before else ())

    def _put(self, owner: Found, key: str | None) -> bool:
        if key is None:
            is_new = owner not in self._any
            self._any.add(owner)
            return is_new
        stored = self._stored.setdefault(owner, set())
        is_new = key not in stored
        stored.add(key)
        return is_new

    # what runs late: after anything may have been called

    def _is_late(self, module: ModuleId, owner: ModuleId) -> bool:
        """Whether anything may have been called of ``owner`` before ``module`` runs."""
        if self._late is None:
            self._waiting, self._late = self._find_late()
        return module in self._waiting or (module in self._late and owner != module)

    def _find_late(self) -> tuple[frozenset[ModuleId], frozenset[ModuleId]]:
        """Return the modules that wait, and those that are loaded when others are in use."""
        modules = self.program.modules
        lazy = {
            target
            for module, text in modules.items()
            for item in text.items
            for load in item.loads
            if (target := self.program.loaded(module, load)) is not None
        }
        late = self._closure(lazy) - self._closure(self.program.entries)
        waiting = {m for m, text in modules.items() if any(AWAIT in i.uses for i in text.items)}
        importers: dict[ModuleId, list[ModuleId]] = {}
        for module in modules:
            for target in self.program.imported(module):
                importers.setdefault(target, []).append(module)
        after = _closed(waiting, lambda module: importers.get(module, []))
        return frozenset(waiting), frozenset(late | after)

    def _closure(self, modules: Iterable[ModuleId]) -> set[ModuleId]:
        """Return modules and all that they import."""
        inside = (m for m in modules if m in self.program.modules)
        return _closed(inside, self.program.imported)


@dataclass
class _Reach:
    """The names that the code of some items may come to, by names and by values."""

    program: Program
    by_owner: Mapping[Found, set[ItemId]]  # the items that store something in what a name holds
    _from: set[ItemId] = field(default_factory=set)  # what ``_found`` was found from
    _passed: set[ItemId] = field(default_factory=set)
    _found: set[Found] = field(default_factory=set)

    def from_all(self, items: Iterable[ItemId]) -> set[Found]:
        """Return what ``items`` come to; what the last call returned is left out.

        Where that asked for items that are not among these, all is found anew.
        """
        asked = set(items)
        if not self._from <= asked:
            self._passed, self._found = set(), set()
        self._from = asked
        before = [
            item for name in self.by_owner.keys() & self._found for item in self.by_owner[name]
        ]
        seen, found, fresh = self._passed, self._found, set()
        todo = [*asked, *before]
        while todo:
            module, number = one = todo.pop()
            if one in seen:
                continue
            seen.add(one)
            for name in self._named(module, self.program.modules[module].items[number]):
                if name not in found:
                    found.add(name)
                    fresh.add(name)
                    todo += self._holders(name)
        return fresh

    def _named(self, module: ModuleId, item: Item) -> Iterator[Found]:
        for name, members in item.uses.items():
            for found in self.program.meaning(module, name):
                yield from self._opened(found, members, set())

    def _opened(
        self, found: Found, members: frozenset[str], seen: set[ModuleId]
    ) -> Iterator[Found]:
        """Yield what a name is; of the exports of a module, those in ``members``."""
        if found.name != NAMESPACE:
            yield found
            return
        if found.module in seen or found.module not in self.program.modules:
            return
        names: Iterable[str] = members
        if WHOLE in members:
            seen.add(found.module)
            names = self.program.export_names(found.module)
        for name in names:
            for one in self.program.exported(found.module, name):
                yield from self._opened(one, _ALL, seen)

    def _holders(self, name: Found) -> list[ItemId]:
        """Return the items that give a name its value, or put something into that."""
        if name.module not in self.program.modules:
            return []
        numbers = self.program.declared(name.module).get(name.name, ())
        writers = self.program.writers(name.module).get(name.name, ())
        stored = sorted(self.by_owner.get(name, ()))
        return [*((name.module, n) for n in (*numbers, *writers)), *stored]


def _closed(
    modules: Iterable[ModuleId], following: Callable[[ModuleId], Iterable[ModuleId]]
) -> set[ModuleId]:
    """Return modules, those that follow them, and so on."""
    seen = set(modules)
    todo = list(seen)
    while todo:
        for module in following(todo.pop()):
            if module not in seen:
                seen.add(module)
                todo.append(module)
    return seen
