"""Tells declarations in which nothing can happen, so that nobody has to follow them."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node

_LITERALS = frozenset(
    {"number", "string", "regex", "true", "false", "null"}
    | {"arrow_function", "function_expression", "generator_function"}
)
_KEYS = frozenset({"property_identifier", "string", "number"})


def is_inert(declarator: Node) -> bool:
    """Whether ``a = value`` only names literals and functions, alone or in arrays and objects."""
    name, value = (declarator.child_by_field_name(f) for f in ("name", "value"))
    return name is not None and name.type == "identifier" and value is not None and _is_made(value)


def _is_made(root: Node) -> bool:
    todo = [root]
    while todo:
        node = todo.pop()
        kind = node.type
        if kind in _LITERALS or kind == "comment":
            continue
        if kind in {"array", "object"}:
            todo += node.named_children
        elif kind == "pair":
            key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
            if key is None or value is None or key.type not in _KEYS:
                return False
            todo.append(value)
        else:
            return False
    return True
