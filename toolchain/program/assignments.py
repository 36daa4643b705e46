"""Gives names, members and patterns their values."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node, text_of
from toolchain.program.evaluation import Evaluation, Expressions, home_of
from toolchain.program.expressions import owner_and_key
from toolchain.program.implicit import convert, elements, run_getters
from toolchain.program.literals import property_name
from toolchain.program.members import get, put
from toolchain.program.values import PRIMITIVE, UNKNOWN, Scope, Thing, Value, adopt, joined

_NAMES = frozenset({"identifier", "shorthand_property_identifier_pattern"})
_MEMBERS = frozenset({"member_expression", "subscript_expression"})
# patterns with a default value: the fields of the pattern and of the value
_DEFAULTS = {
    "assignment_pattern": ("left", "right"),
    "object_assignment_pattern": ("left", "right"),
    "required_parameter": ("pattern", "value"),
    "optional_parameter": ("pattern", "value"),
}
_PATTERNS = frozenset({"array_pattern", "object_pattern", "rest_pattern"})


def _follow_assignment(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    value = evaluation.value(node.child_by_field_name("right"), scope)
    left = node.child_by_field_name("left")
    if left is not None:
        _assign(evaluation, left, value, scope)
    return value


def _follow_augmented(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    left = node.child_by_field_name("left")
    before = evaluation.value(left, scope)
    value = evaluation.value(node.child_by_field_name("right"), scope)
    operator = text_of(node.child_by_field_name("operator"))
    if operator in {"||=", "&&=", "??="}:
        after = joined(before, value)
    else:
        convert(evaluation, joined(before, value), node)
        after = PRIMITIVE
    if left is not None:
        _assign(evaluation, left, after, scope)
    return after


def _follow_update(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    argument = node.child_by_field_name("argument")
    if argument is not None:
        convert(evaluation, evaluation.value(argument, scope), node)
        _assign(evaluation, argument, PRIMITIVE, scope)
    return PRIMITIVE


def _assign(evaluation: Evaluation, target: Node, value: Value, scope: Scope) -> None:
    """Give what ``target`` names a value."""
    kind = target.type
    if kind in _NAMES:
        _assign_name(evaluation, target, value, scope)
    elif kind in _MEMBERS:
        owner, key = owner_and_key(evaluation, target, scope)
        if target.children[0].type == "super":
            evaluation.doubt("sets a member of what it extends", target)
        if any(isinstance(one, Thing) and one.kind == "collection" for one in owner):
            convert(evaluation, value, target, is_sure=False)  # a view holds numbers
        put(evaluation, owner, key, value, target)
    elif kind in {"parenthesized_expression", "non_null_expression"}:
        _assign(evaluation, target.named_children[0], value, scope)
    elif kind in _DEFAULTS or kind in _PATTERNS:
        bind(evaluation, target, value, scope, None)
    elif kind != "comment":
        evaluation.doubt(f"assigns to {kind}, which is not followed,", target)


def _assign_name(evaluation: Evaluation, node: Node, value: Value, scope: Scope) -> None:
    name = text_of(node)
    around: Scope | None = scope
    while around is not None:
        if name in around.names:
            evaluation.touch(around, f"let {name}")
            adopt(value, around)
            around.names[name] = evaluation.grown(around.names[name], value, f"let {name}")
            return
        around = around.outer
    found = evaluation.world.meaning(home_of(scope) or evaluation.module, name)
    if found is not None:
        evaluation.changes.add(found)
    else:
        evaluation.act(f"assigns the global {name}", node)
        evaluation.escape(value)


def bind(
    evaluation: Evaluation, pattern: Node, value: Value, scope: Scope, into: Scope | None
) -> None:
    """Give the names of a pattern the values that they find in ``value``.

    The names are declared in ``into``, or, None, assigned where they are declared.
    """
    kind = pattern.type
    if kind in _NAMES and into is not None:
        name = text_of(pattern)
        into.names[name] = evaluation.grown(into.names.get(name, ()), value, f"let {name}")
    elif kind in _DEFAULTS:
        _bind_default(evaluation, pattern, value, scope, into)
    elif kind == "object_pattern":
        for part in pattern.named_children:
            _bind_part(evaluation, part, value, scope, into)
    elif kind in {"array_pattern", "rest_pattern"}:
        _bind_array(evaluation, pattern, value, scope, into)
    elif into is None:
        _assign(evaluation, pattern, value, scope)


def _bind_array(
    evaluation: Evaluation, pattern: Node, value: Value, scope: Scope, into: Scope | None
) -> None:
    if pattern.type == "rest_pattern":
        bind(evaluation, pattern.named_children[0], value, scope, into)
        return
    found = elements(evaluation, value, pattern)
    rest = (evaluation.thing("array", others=found),)
    for part in pattern.named_children:
        bind(evaluation, part, rest if part.type == "rest_pattern" else found, scope, into)


def _bind_default(
    evaluation: Evaluation, pattern: Node, value: Value, scope: Scope, into: Scope | None
) -> None:
    """Bind what may be missing: ``a = 1`` in a pattern, a parameter of TypeScript."""
    first, second = _DEFAULTS[pattern.type]
    left, right = pattern.child_by_field_name(first), pattern.child_by_field_name(second)
    if left is None:
        return
    if pattern.type == "object_assignment_pattern":
        value = get(evaluation, value, text_of(left), left)
    default = evaluation.value(right, scope) if right is not None else ()
    bind(evaluation, left, joined(value, default), scope, into)


def _bind_part(
    evaluation: Evaluation, part: Node, value: Value, scope: Scope, into: Scope | None
) -> None:
    if part.type == "shorthand_property_identifier_pattern":
        bind(evaluation, part, get(evaluation, value, text_of(part), part), scope, into)
    elif part.type == "pair_pattern":
        key = property_name(evaluation, part.child_by_field_name("key"), scope)
        inner = part.child_by_field_name("value")
        if inner is not None:
            bind(evaluation, inner, get(evaluation, value, key, part), scope, into)
    elif part.type == "rest_pattern":
        for one in value:
            if isinstance(one, Thing):
                run_getters(evaluation, one, part)
        bind(evaluation, part.named_children[0], UNKNOWN, scope, into)
    elif part.type != "comment":
        bind(evaluation, part, value, scope, into)


EXPRESSIONS: Expressions = {
    "assignment_expression": _follow_assignment,
    "augmented_assignment_expression": _follow_augmented,
    "update_expression": _follow_update,
}
