"""Follows expressions that make something: arrays, objects, functions, lists of arguments."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node, string_value, text_of
from toolchain.program.evaluation import Evaluation, Expressions, home_of
from toolchain.program.expressions import inner_value, key_of, name_value, this_value
from toolchain.program.implicit import elements, run_getters
from toolchain.program.members import store
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Given,
    Primitive,
    Scope,
    Text,
    Thing,
    Value,
    joined,
)

_NAMED = frozenset({"function_expression", "generator_function"})


def _follow_array(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    array = evaluation.thing("array")
    for part in node.named_children:
        if part.type == "spread_element":
            value = elements(evaluation, inner_value(evaluation, part, scope), part)
            array.others = joined(array.others, value)
        elif part.type != "comment":
            array.others = joined(array.others, evaluation.value(part, scope))
    return (array,)


def _follow_object(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    made = evaluation.thing("object")
    for part in node.named_children:
        _object_part(evaluation, part, made, scope)
    return (made,)


def _object_part(evaluation: Evaluation, part: Node, made: Thing, scope: Scope) -> None:
    if part.type == "pair":
        key = property_name(evaluation, part.child_by_field_name("key"), scope)
        value = evaluation.value(part.child_by_field_name("value"), scope)
        if key == "__proto__":
            made.base = joined(made.base, value)
        store(evaluation, made, key, value)
    elif part.type == "shorthand_property_identifier":
        store(evaluation, made, text_of(part), name_value(evaluation, part, scope))
    elif part.type == "method_definition":
        inner = evaluation.scope(scope, is_block=True)
        inner.names["super"] = UNKNOWN  # what `super` is in a method of an object may be set
        add_method(evaluation, part, made, inner)
    elif part.type == "spread_element":
        _spread(evaluation, part, made, inner_value(evaluation, part, scope))


def _spread(evaluation: Evaluation, part: Node, made: Thing, value: Value) -> None:
    for one in value:
        if isinstance(one, Thing):
            run_getters(evaluation, one, part)
            for key, member in list(one.members.items()):
                store(evaluation, made, key, member)
            made.others = joined(made.others, one.others)
            is_known = one.kind == "object" and not one.is_open and evaluation.is_all(one, None)
            if not is_known or one.getters:
                made.others = joined(made.others, UNKNOWN)
        elif not isinstance(one, Primitive | Text):
            made.others = joined(made.others, UNKNOWN)


def property_name(evaluation: Evaluation, node: Node | None, scope: Scope) -> str | None:
    """Return the name that a key of an object or class has; None if it is computed."""
    if node is None:
        return None
    if node.type == "computed_property_name":
        return key_of(evaluation, node.named_children[0], scope)
    return string_value(node) if node.type == "string" else text_of(node)


def add_method(evaluation: Evaluation, node: Node, made: Thing, scope: Scope) -> None:
    """Add a method, getter or setter to an object, a class or a prototype."""
    key = property_name(evaluation, node.child_by_field_name("name"), scope)
    function: Value = (made_function(evaluation, node, scope),)
    sort = next((c.type for c in node.children if c.type in {"get", "set"}), "")
    if sort and key is not None:
        (made.getters if sort == "get" else made.setters)[key] = function
    elif sort:
        evaluation.doubt("has an accessor whose name is computed", node)
    else:
        store(evaluation, made, key, function)


def made_function(evaluation: Evaluation, node: Node, scope: Scope) -> Thing:
    """Return a function, not called."""
    this = this_value(evaluation, node, scope) if node.type == "arrow_function" else ()
    home = home_of(scope) or evaluation.module
    made = evaluation.thing("function", node=node, module=home, scope=scope, this=this)
    name = node.child_by_field_name("name")
    if name is not None and node.type in _NAMED:
        made.scope = evaluation.scope(scope, is_block=True)
        made.scope.names[text_of(name)] = (made,)
    return made


def arguments_of(evaluation: Evaluation, node: Node | None, scope: Scope) -> Given:
    """Return what is given to a call."""
    values: list[Value] = []
    more: Value = ()
    for part in node.named_children if node is not None else []:
        if part.type == "spread_element":
            found = elements(evaluation, inner_value(evaluation, part, scope), part)
            more = joined(more, found, PRIMITIVE)  # never empty: the rest has no place of its own
        elif part.type != "comment" and more:
            more = joined(more, evaluation.value(part, scope))
        elif part.type != "comment":
            values.append(evaluation.value(part, scope))
    return Given(tuple(values), more)


def _follow_function(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    return (made_function(evaluation, node, scope),)


EXPRESSIONS: Expressions = {
    "array": _follow_array,
    "object": _follow_object,
    "arrow_function": _follow_function,
    "function_expression": _follow_function,
    "generator_function": _follow_function,
}
