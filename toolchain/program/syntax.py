"""Finds the syntax of items; trees of modules that were not asked for lately are let go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from toolchain.formats.javascript_tree import Node, read_tree
from toolchain.program.module import Item
from toolchain.program.program import ModuleId

_TREES = 400  # ours: syntax trees kept at a time, some 100 kB each

FUNCTIONS = frozenset({"function_declaration", "generator_function_declaration"})
CLASSES = frozenset({"class_declaration", "abstract_class_declaration"})
DECLARATIONS = FUNCTIONS | CLASSES | {"lexical_declaration", "variable_declaration"}


@dataclass
class Syntax:
    """The syntax of modules; ``read`` gives their text."""

    read: Callable[[ModuleId], bytes]
    _trees: OrderedDict[ModuleId, Node] = field(default_factory=OrderedDict)

    def node(self, module: ModuleId, item: Item) -> Node:
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


def innermost_right(node: Node) -> Node:
    """Return ``c`` of the statement ``a = b = c``."""
    value = node.named_children[0] if node.type == "expression_statement" else node
    while value.type == "assignment_expression":
        right = value.child_by_field_name("right")
        if right is None:
            break
        value = right
    return value


def _same_range(one: Node, other: Node) -> bool:
    return one.start_byte == other.start_byte and one.end_byte == other.end_byte
