"""Tells what evaluating each item of a program does, and what its names may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from toolchain.program.assigned import assigned
from toolchain.program.classes import class_value
from toolchain.program.effects import PURE, Effect, Place
from toolchain.program.escaping import follow_escaped, is_noticed
from toolchain.program.evaluation import Endless, Evaluation, ModuleScope, Settled
from toolchain.program.language import JAVASCRIPT
from toolchain.program.literals import made_function
from toolchain.program.module import DEFAULT, NAMESPACE, Item
from toolchain.program.program import Found, ModuleId, Program
from toolchain.program.statements import declarator
from toolchain.program.steadiness import ItemId, Steadiness
from toolchain.program.syntax import CLASSES, DECLARATIONS, FUNCTIONS, Syntax, innermost_right
from toolchain.program.values import UNKNOWN, Namespace, Value, joined

_ENDLESS = "takes too many steps to be followed"
_EXHAUSTED = "lies in a program too large to be followed whole"
_MOST_STEPS = 3_000_000  # ours: nodes followed for one program, some 20 s on one core


@dataclass
class Inspection:
    """Answers what items do; asks ``read`` for the text of a module when it needs it."""

    program: Program
    read: Callable[[ModuleId], bytes]
    _values: dict[Found, Value] = field(default_factory=dict)
    _effects: dict[ItemId, Effect] = field(default_factory=dict)
    _places: dict[Found | ItemId, set[Place]] = field(default_factory=dict)  # what each depends on
    _escaping: dict[ItemId, bool] = field(default_factory=dict)  # what others have may do anything
    _fresh: set[Found] = field(default_factory=set)  # to which items add more
    _is_settled: bool = False
    _steps: int = 0

    def __post_init__(self) -> None:
        self._steadiness = Steadiness(self.program)
        self._syntax = Syntax(self.read)

    # what an evaluation asks

    def value(self, module: ModuleId, name: str, places: set[Place]) -> Value | None:
        """Return what a name at the top of ``module`` may be; None if it is global."""
        found = self.program.meaning(module, name)
        if not found:
            return None
        return joined(*[self._value(one, places) for one in found])

    def exported(self, module: ModuleId, name: str, places: set[Place]) -> Value:
        """Return what an export of a module may be."""
        found = self.program.exported(module, name)
        return joined(*[self._value(one, places) for one in found]) if found else UNKNOWN

    def meaning(self, module: ModuleId, name: str) -> Found | None:
        """Return which declaration a name at the top of ``module`` is."""
        return Found(module, name) if name in self.program.declared(module) else None

    def is_steady(self, place: Place, module: ModuleId) -> bool:
        """Whether nothing else is ever stored at a place before ``module`` has run."""
        return self._steadiness.is_steady(place, module)

    def is_variable(self, module: ModuleId, name: str) -> bool:
        """Whether a name at the top of a module has other values than the first."""
        return any(
            not found.module or found.name in self.program.writers(found.module)
            for found in self.program.meaning(module, name)
        )

    # effects

    def effect(self, module: ModuleId, number: int) -> Effect:
        """Return what evaluating an item does."""
        if not self._is_settled:
            self._is_settled = True
            self._settle()
        return self._effect_of((module, number))

    def _settle(self) -> None:
        """Follow all items, and those again that read what others turn out to change.

        Where there is too much to follow, what is left are entries: they are kept in any case.
        """
        todo = [(m, n) for m in self.program.in_order() for n in self._numbers(m)]
        while todo:
            for item in todo:
                self._effect_of(item)
            unknown = [item for item, effect in self._effects.items() if effect.unknown]
            unknown += [item for item, is_doubtful in self._escaping.items() if is_doubtful]
            fresh = self._fresh | self._steadiness.disturb(unknown)
            self._fresh = set()
            todo = self._forget(fresh)

    def _numbers(self, module: ModuleId) -> list[int]:
        """Return the numbers of the items that have to be followed."""
        items = self.program.modules[module].items
        return [number for number, item in enumerate(items) if not _only_makes(item)]

    def _forget(self, fresh: set[Found]) -> list[ItemId]:
        """Forget what depends on what ``fresh`` names hold; return the items among it."""
        stale = [k for k, places in self._places.items() if any(o in fresh for o, _ in places)]
        for key in stale:
            del self._places[key]
            if isinstance(key, Found):
                self._values.pop(key, None)
            else:
                self._effects.pop(key, None)
        return [key for key in stale if not isinstance(key, Found)]

    def _effect_of(self, item: ItemId) -> Effect:
        module, number = item
        text = self.program.modules[module].items[number]
        if _only_makes(text):
            return PURE
        if item not in self._effects:
            self._effects[item] = self._effect(item, text)
        return self._effects[item]

    def _effect(self, key: ItemId, item: Item) -> Effect:
        if any(load.how == "require" for load in item.loads):
            return Effect(unknown="requires a module")
        if self._steps > _MOST_STEPS:
            return Effect(unknown=_EXHAUSTED)
        module, _ = key
        evaluation = Evaluation(JAVASCRIPT, self, module)
        evaluation.is_hasty = self._steadiness.is_last(module)
        try:
            self._follow(evaluation, module, item)
        except Settled:
            evaluation.sees = True
            self._steadiness.stop(key)
        except (Endless, RecursionError):
            evaluation.doubt(_ENDLESS)
        own = {Found(module, name) for name in item.declares}
        # what it does to its own names is done before anybody else can see them
        stores = {place for place in evaluation.stores if place[0] not in own}
        stores |= self._stored_by_others(key, item, evaluation)
        self._steps += evaluation.steps + evaluation.given_up
        self._places[key] = evaluation.places
        self._fresh |= self._steadiness.add(key, stores)
        effect = evaluation.effect()
        return Effect(effect.changes - own, effect.proved, effect.unknown, effect.sees)

    def _stored_by_others(self, key: ItemId, item: Item, evaluation: Evaluation) -> set[Place]:
        """Return what those may store somewhere whom an item gives something."""
        evaluation.stores = set()
        if not is_noticed(evaluation):
            self._escaping.pop(key, None)
        elif evaluation.is_hasty:
            self._steadiness.stop(key)
        else:
            self._escaping[key] = follow_escaped(evaluation)
            evaluation.inside |= {None} if self._escaping[key] else set()
        stores = evaluation.stores
        if not evaluation.unknown:  # else all that it comes to may be changed
            stores |= {(name, None) for name in evaluation.handed}
        made = {Found(key[0], name) for name in (*item.declares, *item.writes)}
        return stores | {(name, where) for name in made for where in evaluation.inside}

    def _follow(self, evaluation: Evaluation, module: ModuleId, item: Item) -> None:
        node = self._syntax.node(module, item)
        scope = self._top(evaluation, module)
        if item.gives:  # who asks for the members decides about setting them
            evaluation.value(innermost_right(node), scope)
        elif node.type == "variable_declarator":
            declarator(evaluation, node, scope, scope)
        elif node.type in CLASSES:
            class_value(evaluation, node, scope)
        elif node.type.endswith(("_statement", "_declaration", "_block")):
            evaluation.statement(node, scope)
        else:
            evaluation.value(node, scope)

    def _top(self, evaluation: Evaluation, module: ModuleId) -> ModuleScope:
        scope = ModuleScope(None, evaluation, evaluation.owner, module=module)
        if self.program.modules[module].form != "module":
            scope.names["this"] = UNKNOWN  # CommonJS: what it exports
        return scope

    # values

    def _value(self, found: Found, places: set[Place]) -> Value:
        if not found.module:
            return UNKNOWN
        if found.name == NAMESPACE:
            return (Namespace(found.module),)
        if found not in self._values:
            self._values[found] = UNKNOWN  # while it is looked for
            self._places[found] = set()
            self._values[found] = self._find(found)
        places |= self._places.get(found, set())
        return self._values[found]

    def _find(self, found: Found) -> Value:
        module, name = found.module, found.name
        values = [self._given(found, n) for n in self.program.declared(module).get(name, ())]
        values += [self._assigned(found, n) for n in self.program.writers(module).get(name, ())]
        return joined(*values) if values else UNKNOWN

    def _given(self, found: Found, number: int) -> Value:
        """Return the value that a declaration gives to a name."""
        item = self.program.modules[found.module].items[number]
        node = self._syntax.node(found.module, item)

        def follow(evaluation: Evaluation, scope: ModuleScope) -> Value:
            if node.type == "variable_declarator":
                declarator(evaluation, node, scope, scope)
                return scope.names.get(found.name, UNKNOWN)
            if node.type in FUNCTIONS:
                return (made_function(evaluation, node, scope),)
            if node.type in CLASSES:
                return class_value(evaluation, node, scope)
            if node.type == "enum_declaration":
                evaluation.statement(node, scope)
                return scope.names.get(found.name, UNKNOWN)
            is_expression = found.name == DEFAULT and node.type not in DECLARATIONS
            return evaluation.value(node, scope) if is_expression else UNKNOWN

        return self._followed(found, follow)

    def _assigned(self, found: Found, number: int) -> Value:
        """Return what an item gives to a name that it assigns; UNKNOWN if that is not plain."""
        node = self._syntax.node(found.module, self.program.modules[found.module].items[number])
        values = assigned(node, found.name)
        if not values:
            return UNKNOWN
        return self._followed(
            found, lambda evaluation, scope: joined(*(evaluation.value(v, scope) for v in values))
        )

    def _followed(self, found: Found, follow: Callable[[Evaluation, ModuleScope], Value]) -> Value:
        """Return what following some syntax gives to a name."""
        if self._steps > _MOST_STEPS:
            return UNKNOWN
        evaluation = Evaluation(JAVASCRIPT, self, found.module, owner=found)
        try:
            value = follow(evaluation, self._top(evaluation, found.module))
        except (Endless, RecursionError):
            value = UNKNOWN
        self._steps += evaluation.steps + evaluation.given_up
        self._places.setdefault(found, set()).update(evaluation.places)
        return value


def _only_makes(item: Item) -> bool:
    """Whether an item only gives names to functions and literals."""
    return item.kind == "function" or item.inert
