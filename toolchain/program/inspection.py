"""Tells what evaluating each item of a program does, and what its names may be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from toolchain.formats.javascript_tree import Node, read_tree
from toolchain.program.effects import PURE, Effect
from toolchain.program.evaluation import Endless, Evaluation, ModuleScope
from toolchain.program.module import DEFAULT, NAMESPACE, Item
from toolchain.program.program import Found, ModuleId, Program
from toolchain.program.values import UNKNOWN, Namespace, Value, joined

_TREES = 400  # ours: syntax trees kept at a time, some 100 kB each

_DECLARATIONS = frozenset(
    {"lexical_declaration", "variable_declaration", "function_declaration", "class_declaration"}
    | {"generator_function_declaration", "abstract_class_declaration", "enum_declaration"}
)
_FUNCTIONS = frozenset({"function_declaration", "generator_function_declaration"})
_CLASSES = frozenset({"class_declaration", "abstract_class_declaration"})


@dataclass
class Inspection:
    """Answers what items do; asks ``read`` for the text of a module when it needs it."""

    program: Program
    read: Callable[[ModuleId], bytes]
    _trees: OrderedDict[ModuleId, Node] = field(default_factory=OrderedDict)
    _values: dict[Found, Value] = field(default_factory=dict)
    _effects: dict[tuple[ModuleId, int], Effect] = field(default_factory=dict)
    _scopes: dict[ModuleId, ModuleScope] = field(default_factory=dict)
    _set: frozenset[str] | None = None
    _written: dict[ModuleId, dict[str, list[int]]] = field(default_factory=dict)

    # what an evaluation asks

    def value(self, module: ModuleId, name: str) -> Value | None:
        """Return what a name at the top of ``module`` may be; None if it is global."""
        found = self.program.meaning(module, name)
        if not found:
            return None
        return joined(*(self._value(one) for one in found))

    def exported(self, module: ModuleId, name: str) -> Value:
        """Return what an export of a module may be."""
        found = self.program.exported(module, name)
        return joined(*(self._value(one) for one in found)) if found else UNKNOWN

    def meaning(self, module: ModuleId, name: str) -> Found | None:
        """Return which declaration a name at the top of ``module`` is."""
        return Found(module, name) if name in self.program.declared(module) else None

    def is_set(self, member: str) -> bool:
        """Whether the program assigns to a member of this name, anywhere."""
        if self._set is None:
            self._set = frozenset().union(*(m.set_members for m in self.program.modules.values()))
        return member in self._set

    # effects

    def effect(self, module: ModuleId, number: int) -> Effect:
        """Return what evaluating an item does."""
        key = module, number
        if key not in self._effects:
            self._effects[key] = self._effect(module, self.program.modules[module].items[number])
        return self._effects[key]

    def _effect(self, module: ModuleId, item: Item) -> Effect:
        if item.kind == "function":
            return PURE
        if any(load.how == "require" for load in item.loads):
            return Effect(unknown="requires a module")
        evaluation = Evaluation(self, module)
        try:
            self._follow(evaluation, module, item)
        except (Endless, RecursionError):
            evaluation.doubt("takes too many steps to be followed")
        own = {Found(module, name) for name in item.declares}
        effect = evaluation.effect()
        return Effect(effect.changes - own, effect.proved, effect.unknown)

    def _follow(self, evaluation: Evaluation, module: ModuleId, item: Item) -> Value:
        """Follow an item; return what its expression gives."""
        node = self._node(module, item)
        scope = ModuleScope(None, evaluation, evaluation.owner, module=module)
        if node.type == "variable_declarator":
            evaluation.declarator(node, scope)
        elif node.type in _FUNCTIONS:
            return (evaluation.function(node, scope),)
        elif node.type in _CLASSES:
            return (evaluation.class_of(node, scope),)
        elif node.type.endswith(("_statement", "_declaration", "_block")):
            evaluation.statement(node, scope)
        else:
            return evaluation.value(node, scope)
        return joined(*scope.names.values()) if len(item.declares) == 1 else UNKNOWN

    # values

    def _value(self, found: Found) -> Value:
        if not found.module:
            return UNKNOWN
        if found.name == NAMESPACE:
            return (Namespace(found.module),)
        if found not in self._values:
            self._values[found] = UNKNOWN  # while it is looked for
            self._values[found] = self._find(found)
        return self._values[found]

    def _find(self, found: Found) -> Value:
        module, name = found.module, found.name
        values = [self._given(found, n) for n in self.program.declared(module).get(name, ())]
        values += [self._assigned(found, n) for n in self._writers(module).get(name, ())]
        return joined(*values) if values else UNKNOWN

    def _given(self, found: Found, number: int) -> Value:
        """Return the value that a declaration gives to a name."""
        item = self.program.modules[found.module].items[number]
        evaluation = Evaluation(self, found.module, owner=found)
        node = self._node(found.module, item)
        scope = ModuleScope(None, evaluation, found, module=found.module)
        try:
            if node.type == "variable_declarator":
                evaluation.declarator(node, scope)
                return scope.names.get(found.name, UNKNOWN)
            if node.type in _DECLARATIONS or found.name == DEFAULT:
                if node.type == "enum_declaration":
                    evaluation.statement(node, scope)
                    return scope.names.get(found.name, UNKNOWN)
                return self._follow_owned(evaluation, node, scope)
        except (Endless, RecursionError):
            pass
        return UNKNOWN

    def _follow_owned(self, evaluation: Evaluation, node: Node, scope: ModuleScope) -> Value:
        if node.type in _FUNCTIONS:
            return (evaluation.function(node, scope),)
        if node.type in _CLASSES:
            return (evaluation.class_of(node, scope),)
        return evaluation.value(node, scope)

    def _assigned(self, found: Found, number: int) -> Value:
        """Return what a statement ``name = value`` gives; UNKNOWN for other ways to assign."""
        node = self._node(found.module, self.program.modules[found.module].items[number])
        if node.type == "expression_statement":
            node = node.named_children[0]
        left = node.child_by_field_name("left")
        if node.type != "assignment_expression" or left is None or left.text is None:
            return UNKNOWN
        if left.text.decode() != found.name:
            return UNKNOWN
        evaluation = Evaluation(self, found.module, owner=found)
        scope = ModuleScope(None, evaluation, found, module=found.module)
        try:
            return evaluation.value(node.child_by_field_name("right"), scope)
        except (Endless, RecursionError):
            return UNKNOWN

    def _writers(self, module: ModuleId) -> dict[str, list[int]]:
        """Return the items of a module that assign each of its names."""
        if module not in self._written:
            written: dict[str, list[int]] = {}
            for number, item in enumerate(self.program.modules[module].items):
                for name in item.writes:
                    written.setdefault(name, []).append(number)
            self._written[module] = written
        return self._written[module]

    # syntax

    def _node(self, module: ModuleId, item: Item) -> Node:
        """Return the syntax of an item: a declarator, a declaration, a statement or a value."""
        node = self._tree(module).descendant_for_byte_range(item.start, item.end)
        assert node is not None  # noqa: S101 - for the type checker: the range is of this file
        outer = node.parent
        while outer is not None and outer.parent is not None and _same_range(outer, node):
            node, outer = outer, outer.parent
        while node.type in {"program", "export_statement"}:
            inner = node.child_by_field_name("declaration") or node.child_by_field_name("value")
            if node.type == "program":
                inner = next(c for c in node.named_children if c.start_byte == item.start)
            if inner is None:
                break
            node = inner
        return node

    def _tree(self, module: ModuleId) -> Node:
        if module not in self._trees:
            self._trees[module] = read_tree(self.read(module)).root
            if len(self._trees) > _TREES:
                self._trees.popitem(last=False)
        self._trees.move_to_end(module)
        return self._trees[module]


def _same_range(one: Node, other: Node) -> bool:
    return one.start_byte == other.start_byte and one.end_byte == other.end_byte
