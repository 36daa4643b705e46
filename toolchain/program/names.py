"""Finds which names a piece of syntax uses, declares and assigns, by the rules of scope.

A reference belongs to the innermost scope that declares its name, wherever in that scope the
declaration stands. What no scope of the piece declares is free: a name of the module, or global.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from toolchain.formats.javascript_tree import Node, string_value, text_of
from toolchain.program.module import WHOLE, Load
from toolchain.program.patterns import PATTERNS, parts

# Nodes in which no value is named
QUIET = frozenset(
    {"string", "number", "regex", "comment", "property_identifier"}
    | {"private_property_identifier", "super", "true", "false", "null"}
    | {"undefined", "statement_identifier", "break_statement", "continue_statement"}
    | {"debugger_statement", "empty_statement", "hash_bang_line", "html_comment"}
    | {"meta_property", "import", "type_annotation", "type_arguments"}
    | {"type_parameters", "interface_declaration", "type_alias_declaration"}
    | {"implements_clause", "ambient_declaration", "function_signature"}
    | {"method_signature", "abstract_method_signature", "accessibility_modifier"}
    | {"override_modifier", "predefined_type", "asserts_annotation"}
    | {"type_predicate_annotation", "index_signature", "jsx_text"}
    | {"html_character_reference", "opting_type_annotation", "omitting_type_annotation"}
    | {"extends_type_clause"}
)
_WRAPPED = frozenset({"parenthesized_expression", "non_null_expression", "as_expression"})
_NAMES = frozenset({"identifier", "shorthand_property_identifier_pattern"})


class Scope:
    """Names that a piece of syntax declares, and references that are not resolved yet."""

    __slots__ = ("declared", "function", "refs", "writes")

    def __init__(self, function: Scope | None = None) -> None:
        self.declared: set[str] = set()
        self.refs: dict[str, set[str]] = {}
        self.writes: set[str] = set()
        self.function = function or self  # where `var` declares

    def use(self, name: str, member: str = WHOLE) -> None:
        """Note that a name is read, or one member of it."""
        members = self.refs.get(name)
        if members is None:
            self.refs[name] = {member}
        else:
            members.add(member)

    def close_into(self, outer: Scope) -> None:
        """Hand the references that are not of this scope to the one around it."""
        for name, members in self.refs.items():
            if name not in self.declared:
                seen = outer.refs.get(name)
                if seen is None:
                    outer.refs[name] = members
                else:
                    seen |= members
        if self.writes:
            outer.writes |= self.writes - self.declared


class Names:
    """Walks syntax; ``loads`` and ``set_members`` collect what is met on the way."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self.loads: list[Load] = []
        self.set_members: set[str] = set()

    def walk(self, node: Node, scope: Scope) -> None:
        """Add what ``node`` uses and declares to ``scope``."""
        kind = node.type
        if kind in QUIET:
            return
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(self, node, scope)
            return
        for child in node.named_children:
            self.walk(child, scope)

    def each(self, nodes: Iterable[Node], scope: Scope) -> None:
        """Walk several nodes."""
        for node in nodes:
            self.walk(node, scope)

    def target(self, node: Node, scope: Scope) -> None:
        """Walk what is assigned to."""
        kind = node.type
        if kind in _NAMES:
            name = text_of(node)
            scope.use(name)
            scope.writes.add(name)
        elif kind in PATTERNS or kind in _WRAPPED:
            for part, is_target in parts(node):
                if is_target:
                    self.target(part, scope)
                else:
                    self.walk(part, scope)
        else:
            if kind == "member_expression":
                self.set_members.add(text_of(node.child_by_field_name("property")))
            index = node.child_by_field_name("index")
            if index is not None and index.type == "string":
                self.set_members.add(string_value(index))
            self.walk(node, scope)

    def declare(self, pattern: Node, scope: Scope, inner: Scope) -> list[str]:
        """Declare the names of ``pattern`` in ``scope``; expressions are walked in ``inner``."""
        kind = pattern.type
        if kind in _NAMES:
            name = text_of(pattern)
            scope.declared.add(name)
            return [name]
        names: list[str] = []
        for part, is_target in parts(pattern):
            if is_target:
                names += self.declare(part, scope, inner)
            else:
                self.walk(part, inner)
        return names

    def declarator(self, node: Node, scope: Scope, inner: Scope) -> list[str]:
        """Declare one ``a = 1`` of a declaration."""
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        names = self.declare(name, scope, inner) if name is not None else []
        if value is not None:
            self.walk(value, inner)
        return names


Handlers = Mapping[str, Callable[[Names, Node, Scope], None]]  # by the type of the node
