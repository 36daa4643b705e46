"""Finds what of a program is needed: from its entries, by use of names and by effects.

All modules that an entry imports run, whoever uses what of them: that is JavaScript. So an item
is needed if something needed names it, or if what it does when its module is loaded is noticed.
``sideEffects: false`` is believed only where inspection cannot tell: an effect that is proved is
respected, whatever the package says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from toolchain.program.effects import Effect
from toolchain.program.module import NAMESPACE, WHOLE, Import, Item, Load
from toolchain.program.program import Found, ModuleId, Program

_ALL = frozenset({WHOLE})
_EXPORTS = frozenset({"exports", "module", "this"})

Effects = Callable[[ModuleId, int], Effect]


@dataclass
class Liveness:
    """What is needed of a program."""

    executed: set[ModuleId] = field(default_factory=set)  # what an unchanged program would load
    items: set[tuple[ModuleId, int]] = field(default_factory=set)
    exports: set[tuple[ModuleId, str]] = field(default_factory=set)
    stars: set[tuple[ModuleId, str]] = field(default_factory=set)  # module, source
    locals: set[tuple[ModuleId, str]] = field(default_factory=set)  # imported names in use
    named: set[tuple[ModuleId, str]] = field(default_factory=set)  # names that needed code uses
    included: set[ModuleId] = field(default_factory=set)  # something in it is used
    whole: set[ModuleId] = field(default_factory=set)  # every member may be used: CommonJS
    started: set[ModuleId] = field(default_factory=set)  # entries, workers, what import() loads


def live(
    program: Program,
    effects: Effects,
    entries: Collection[ModuleId],
    started: Collection[ModuleId] = (),
) -> Liveness:
    """Return what is needed when ``entries`` may be imported and ``started`` only run."""
    work = _Work(program, effects)
    for entry in sorted(entries):
        work.start(entry)
        work.use_all(entry)
    for module in sorted(started):
        work.start(module)
    work.run()
    return work.found


@dataclass
class _Work:
    program: Program
    effects: Effects
    found: Liveness = field(default_factory=Liveness)
    todo: list[Callable[[], None]] = field(default_factory=list)
    used: set[tuple[ModuleId, str, str]] = field(default_factory=set)  # module, name, member
    asked: set[tuple[ModuleId, str, str]] = field(default_factory=set)  # of exports
    waiting: dict[Found, list[tuple[ModuleId, int]]] = field(default_factory=dict)
    doubtful: dict[ModuleId, list[int]] = field(default_factory=dict)
    needed: set[Found] = field(default_factory=set)

    def run(self) -> None:
        while self.todo:
            self.todo.pop()()

    # modules

    def start(self, module: ModuleId) -> None:
        """Run a module that is loaded by itself."""
        self.found.started.add(module)
        self.execute(module)

    def execute(self, module: ModuleId) -> None:
        """Note that a module runs, and all that it imports."""
        stack = [module]
        while stack:
            one = stack.pop()
            if one in self.found.executed or one not in self.program.modules:
                continue
            self.found.executed.add(one)
            text = self.program.modules[one]
            for clause in text.clauses:
                if clause.source:
                    target = self.program.target(one, clause.source)
                    if target is not None:
                        stack.append(target)
            self.todo.append(lambda one=one: self._judge(one))  # type: ignore[misc]

    def _judge(self, module: ModuleId) -> None:
        """Decide which items of a module that runs are needed for what they do."""
        text = self.program.modules[module]
        if text.problem or text.form == "script":
            self._keep_all(module)
            return
        for number, item in enumerate(text.items):
            if item.gives and text.form == "commonjs":
                self._judge_given(module, number, item)
            self._judge_effect(module, number)

    def _judge_effect(self, module: ModuleId, number: int) -> None:
        """Keep an item if what it does is noticed."""
        effect = self.effects(module, number)
        is_believed = module in self.program.quiet and module not in self.found.included
        if effect.proved or (effect.unknown and not is_believed):
            self.item(module, number)
        elif is_believed and (effect.unknown or effect.changes):
            self.doubtful.setdefault(module, []).append(number)
        changes = self._meant(module, number, effect) if is_believed else effect.changes
        self._await(module, number, changes)

    def _await(self, module: ModuleId, number: int, changes: frozenset[Found]) -> None:
        """Keep an item once a name is needed whose value it changes."""
        if changes & self.needed:
            self.item(module, number)
        for changed in changes:
            self.waiting.setdefault(changed, []).append((module, number))

    def _meant(self, module: ModuleId, number: int, effect: Effect) -> frozenset[Found]:
        """Return the changes that an item of a module is there for which claims to have no effects.

        ``const a = f()`` is about ``a``, ``a.b = f()`` too, and ``f(a)`` about what is declared
        beside ``f`` or ``a``: what else ``f`` changes, a counter or a cache, is believed to matter
        to nobody, as long as nothing of the module is used.
        """
        item = self.program.modules[module].items[number]
        if item.declares:
            return frozenset()
        if item.sets:
            meant = {f for name in item.sets for f in self.program.meaning(module, name)}
            return effect.changes & meant
        if item.asks:
            beside = {f.module for n in item.asks for f in self.program.meaning(module, n)}
            return frozenset(c for c in effect.changes if c.module in beside)
        return effect.changes

    def _keep_all(self, module: ModuleId) -> None:
        """Keep a module as it is, and everything of what it may use."""
        self.include(module)
        for number in range(len(self.program.modules[module].items)):
            self.item(module, number)
        if self.program.modules[module].problem:
            for address in self.program.addresses.get(module, ()):
                for target in address.targets:
                    self.start(target)
                    self.use_all(target)

    def _judge_given(self, module: ModuleId, number: int, item: Item) -> None:
        """Keep what sets a member of CommonJS's ``exports`` if the member is asked for."""
        for name in item.gives:
            self.waiting.setdefault(Found(module, f"exports.{name}"), []).append((module, number))
        asked = any(Found(module, f"exports.{n}") in self.needed for n in item.gives)
        if asked or module in self.found.whole:
            self.item(module, number)

    def include(self, module: ModuleId) -> None:
        """Note that something of a module is used: what is in doubt about it happens, too."""
        if module in self.found.included:
            return
        self.found.included.add(module)
        for number in self.doubtful.pop(module, ()):
            effect = self.effects(module, number)
            if effect.unknown:
                self.item(module, number)
            else:
                self._await(module, number, effect.changes)

    # items

    def item(self, module: ModuleId, number: int) -> None:
        """Keep an item, and what it uses."""
        if (module, number) in self.found.items:
            return
        self.found.items.add((module, number))
        self.include(module)
        self.todo.append(lambda: self._follow(module, number))

    def _follow(self, module: ModuleId, number: int) -> None:
        item = self.program.modules[module].items[number]
        for name in item.declares:
            self.need(Found(module, name))
        for name, members in item.uses.items():
            self.use(module, name, members)
        for load in item.loads:
            self._load(module, load)
        for address in self.program.addresses.get(module, ()):
            if item.start <= address.start < item.end or item.of[0] <= address.start < item.of[1]:
                for target in address.targets:
                    self.start(target)
                    if address.how == "file":
                        self.use_all(target)

    def _load(self, module: ModuleId, load: Load) -> None:
        target = self.program.loaded(module, load)
        if target is None:
            return
        if load.how == "import()":
            self.start(target)
        else:
            self.execute(target)
        if load.members is not None:
            for member in load.members:
                self.export(target, member, _ALL)
        elif not load.via:
            self.use_all(target)
        # what is held by a name is used as that name is: see `use`

    def need(self, found: Found) -> None:
        """Note that a name's value is needed: so is what changes it."""
        if found in self.needed:
            return
        self.needed.add(found)
        for module, number in self.waiting.get(found, ()):
            self.item(module, number)

    # names

    def use(self, module: ModuleId, name: str, members: frozenset[str]) -> None:
        """Use a name of a module, or members of it."""
        fresh = {m for m in members if (module, name, m) not in self.used}
        if not fresh:
            return
        self.used |= {(module, name, m) for m in fresh}
        self.found.named.add((module, name))
        imported = self.program.imports(module).get(name)
        if imported is not None:
            self._use_imported(module, imported, frozenset(fresh))
            return
        numbers = self.program.declared(module).get(name, ())
        is_commonjs = self.program.modules[module].form == "commonjs"
        if not numbers and name in _EXPORTS and is_commonjs:
            self._use_own_exports(module, frozenset(fresh))
        for number in numbers:
            self.item(module, number)
            for load in self.program.modules[module].items[number].loads:
                target = self.program.loaded(module, load)
                if load.via == name and target is not None:
                    self._use_of(target, NAMESPACE, frozenset(fresh))

    def _use_imported(self, module: ModuleId, imported: Import, members: frozenset[str]) -> None:
        self.found.locals.add((module, imported.local))
        self.include(module)
        target = self.program.target(module, imported.source)
        if target is not None:
            self._use_of(target, imported.imported, members)

    def _use_own_exports(self, module: ModuleId, members: frozenset[str]) -> None:
        for member in members:
            if member in {WHOLE, "exports"}:
                self.use_all(module)
            else:
                self.need(Found(module, f"exports.{member}"))

    def _use_of(self, target: ModuleId, imported: str, members: frozenset[str]) -> None:
        if imported != NAMESPACE:
            self.export(target, imported, members)
        elif WHOLE in members:
            self.use_all(target)
        else:
            for member in members:
                self.export(target, member, _ALL)

    def use_all(self, module: ModuleId) -> None:
        """Use every export of a module."""
        if module not in self.program.modules or module in self.found.whole:
            return
        self.found.whole.add(module)
        self.include(module)
        text = self.program.modules[module]
        for export in text.exports:
            self.export(module, export.name, _ALL)
        for star in text.stars:
            self.found.stars.add((module, star.source))
            target = self.program.target(module, star.source)
            if target is not None:
                self.use_all(target)
        if text.form == "commonjs":
            for number, item in enumerate(text.items):
                if item.gives:
                    self.item(module, number)

    def export(self, module: ModuleId, name: str, members: frozenset[str]) -> None:
        """Use an export of a module, or members of what it exports."""
        fresh = frozenset(m for m in members if (module, name, m) not in self.asked)
        if not fresh or module not in self.program.modules:
            return
        self.asked |= {(module, name, m) for m in fresh}
        self.include(module)
        if self.program.is_open(module):
            self._export_of_open(module, name, fresh)
            return
        export = self.program.exports(module).get(name)
        if export is None:
            self._through_stars(module, name, fresh)
            return
        self.found.exports.add((module, name))
        if export.source:
            target = self.program.target(module, export.source)
            if target is not None:
                self._use_of(target, export.imported, fresh)
        else:
            self.use(module, export.local, fresh)

    def _export_of_open(self, module: ModuleId, name: str, members: frozenset[str]) -> None:
        """Use a member of CommonJS's ``exports``; the default import is ``exports`` itself."""
        if name != "default":
            self.need(Found(module, f"exports.{name}"))
        elif WHOLE in members:
            self.use_all(module)
        else:
            for member in (*members, name):
                self.need(Found(module, f"exports.{member}"))

    def _through_stars(self, module: ModuleId, name: str, members: frozenset[str]) -> None:
        for star in self.program.modules[module].stars:
            target = self.program.target(module, star.source)
            if target is None:
                self.found.stars.add((module, star.source))
            elif self.program.has_export(target, name):
                self.found.stars.add((module, star.source))
                self.export(target, name, members)
