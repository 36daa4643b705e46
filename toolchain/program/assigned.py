"""Finds what an item gives to a name that it assigns on its way: ``f(x || (x = {}))``."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node, text_of

# Syntax that evaluates all in it where it stands itself, without names of its own
_EXPRESSIONS = frozenset(
    {"expression_statement", "variable_declarator", "parenthesized_expression", "arguments"}
    | {"sequence_expression", "binary_expression", "ternary_expression", "unary_expression"}
    | {"call_expression", "new_expression", "member_expression", "subscript_expression"}
    | {"non_null_expression", "as_expression", "satisfies_expression", "spread_element"}
    | {"assignment_expression", "array", "object", "pair"}
)
_ASSIGNING = frozenset(
    {"assignment_expression", "augmented_assignment_expression"}
    | {"update_expression", "for_in_statement"}
)
_MEMBERS = frozenset({"member_expression", "subscript_expression"})


def assigned(node: Node, name: str) -> list[Node] | None:
    """Return all that ``node`` assigns to a name of its module; None if that is not so plain.

    Not plain are assignments in functions and statements, which may see other names, or happen
    later, those by patterns, and those with an operator.
    """
    found: list[Node] = []
    todo = [node]
    while todo:
        one = todo.pop()
        if one.type not in _EXPRESSIONS:
            if _assigns(one, name):
                return None
            continue
        parts = [child for child in one.named_children if child.type != "comment"]
        left, right = one.child_by_field_name("left"), one.child_by_field_name("right")
        if one.type == "assignment_expression" and left is not None and right is not None:
            if left.type == "identifier":
                found += [right] if text_of(left) == name else []
                parts = [right]
            elif left.type not in _MEMBERS:
                return None
        todo += parts
    return found


def _assigns(node: Node, name: str) -> bool:
    """Whether anything in ``node`` assigns to ``name``, also where that is a name of its own."""
    todo = [node]
    while todo:
        one = todo.pop()
        if one.type in _ASSIGNING:
            target = one.child_by_field_name("left") or one.child_by_field_name("argument")
            if target is not None and target.type not in _MEMBERS and _names(target, name):
                return True
        todo += one.named_children
    return False


def _names(target: Node, name: str) -> bool:
    todo = [target]
    while todo:
        one = todo.pop()
        if not one.named_child_count and text_of(one) == name:
            return True
        todo += one.named_children
    return False
