"""Finds the names that expressions use and assign."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node, string_value, text_of
from toolchain.program.loads import load_of
from toolchain.program.module import AWAIT
from toolchain.program.names import Handlers, Names, Scope


def _identifier(_names: Names, node: Node, scope: Scope) -> None:
    scope.use(node.text.decode())  # type: ignore[union-attr]


def _this(_names: Names, node: Node, scope: Scope) -> None:
    """Use ``this``, which in functions of CommonJS may be what is exported."""
    outer = node.parent
    operator = outer.child_by_field_name("operator") if outer is not None else None
    if operator is None or operator.type != "&&":  # TypeScript's helpers: `this && this.x`
        scope.use("this")


def _await(names: Names, node: Node, scope: Scope) -> None:
    scope.use(AWAIT)  # functions declare it, so that it is free only at the top
    names.each(node.named_children, scope)


def _member(names: Names, node: Node, scope: Scope) -> None:
    children = node.named_children
    owner = children[0]
    if owner.type in {"identifier", "this"} and len(children) > 1:
        scope.use(text_of(owner), text_of(children[-1]))
    else:
        names.walk(owner, scope)


def _subscript(names: Names, node: Node, scope: Scope) -> None:
    owner, index = node.child_by_field_name("object"), node.child_by_field_name("index")
    if owner is None or index is None:
        names.each(node.named_children, scope)
    elif owner.type == "identifier" and index.type == "string":
        scope.use(text_of(owner), string_value(index))
    else:
        names.walk(owner, scope)
        names.walk(index, scope)


def _jsx_name(names: Names, node: Node, scope: Scope) -> None:
    for factory in ("React", "h", "Fragment"):
        scope.use(factory)  # compilers of JSX call one of them, and name none
    for child in node.children_by_field_name("name"):
        if child.type == "identifier":
            name = text_of(child)
            if not name[:1].islower():  # <div> is a tag, <Panel> a value
                scope.use(name)
        elif child.type != "property_identifier":
            names.walk(child, scope)
    for child in node.named_children:
        if child.type in {"jsx_attribute", "jsx_expression"}:
            names.walk(child, scope)


def _jsx_attribute(names: Names, node: Node, scope: Scope) -> None:
    names.each((c for c in node.named_children if c.type != "property_identifier"), scope)


def _call(names: Names, node: Node, scope: Scope) -> None:
    load = load_of(node)
    if load is not None:
        names.loads.append(load)
    names.each(node.named_children, scope)


def _assignment(names: Names, node: Node, scope: Scope) -> None:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is not None:
        names.target(left, scope)
    if right is not None:
        names.walk(right, scope)


def _update(names: Names, node: Node, scope: Scope) -> None:
    argument = node.child_by_field_name("argument")
    if argument is not None:
        names.target(argument, scope)


def _cast(names: Names, node: Node, scope: Scope) -> None:
    first = node.named_children[0] if node.named_child_count else None
    if first is not None:
        names.walk(first, scope)


def _angle_cast(names: Names, node: Node, scope: Scope) -> None:
    if node.named_child_count:
        names.walk(node.named_children[-1], scope)


def _labeled(names: Names, node: Node, scope: Scope) -> None:
    body = node.child_by_field_name("body")
    if body is not None:
        names.walk(body, scope)


HANDLERS: Handlers = {
    "identifier": _identifier,
    "shorthand_property_identifier": _identifier,
    "this": _this,
    "await_expression": _await,
    "member_expression": _member,
    "subscript_expression": _subscript,
    "call_expression": _call,
    "assignment_expression": _assignment,
    "augmented_assignment_expression": _assignment,
    "update_expression": _update,
    "as_expression": _cast,
    "satisfies_expression": _cast,
    "type_assertion": _angle_cast,
    "instantiation_expression": _cast,
    "labeled_statement": _labeled,
    "jsx_opening_element": _jsx_name,
    "jsx_self_closing_element": _jsx_name,
    "jsx_attribute": _jsx_attribute,
    "jsx_closing_element": lambda _names, _node, _scope: None,
}
