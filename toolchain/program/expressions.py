"""Follows expressions that make nothing: names, members, operators."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node, string_value, text_of
from toolchain.program.evaluation import Evaluation, Expressions
from toolchain.program.implicit import ask_proxies, convert, settle
from toolchain.program.members import chain, get, get_of_thing, methods_of, put
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Builtin,
    Scope,
    Text,
    Thing,
    Value,
    joined,
)

_LOGICAL = frozenset({"||", "&&", "??"})
# operators that ask for no string or number
_SAME = frozenset({"===", "!==", "in", ",", *_LOGICAL})


def name_value(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    """Return what a name may be."""
    return evaluation.named(text_of(node), scope, node)


def owner_and_key(evaluation: Evaluation, node: Node, scope: Scope) -> tuple[Value, str | None]:
    """Return what a member expression reads a member of, and which one; None if computed."""
    owner = node.child_by_field_name("object")
    value = evaluation.value(owner, scope)
    if node.type == "member_expression":
        return value, text_of(node.child_by_field_name("property"))
    return value, key_of(evaluation, node.child_by_field_name("index"), scope)


def member_of(
    evaluation: Evaluation, node: Node, scope: Scope, owner: Value, key: str | None
) -> Value:
    """Read the member that a member expression names."""
    written = node.child_by_field_name("object")
    if written is not None and written.type == "super":
        return _of_super(evaluation, node, scope, key)
    return get(evaluation, owner, key, node)


def _of_super(evaluation: Evaluation, node: Node, scope: Scope, key: str | None) -> Value:
    """Read a member of what the class around extends."""
    this = this_value(evaluation, node, scope)
    found: list[Value] = []
    for base in super_value(scope):
        if not isinstance(base, Thing) or key is None:
            return UNKNOWN
        places = [p for p in (methods_of(base), base) if _has(p, key)]
        if not places:
            return UNKNOWN
        found += [get_of_thing(evaluation, place, key, node, this) for place in places]
    return joined(*found) if found else UNKNOWN


def _has(one: Thing, key: str) -> bool:
    return any(key in holder.members or key in holder.getters for holder in chain(one))


def super_value(scope: Scope) -> Value:
    """Return what the class around ``scope`` extends; UNKNOWN where there is none."""
    around: Scope | None = scope
    while around is not None:
        if "super" in around.names:
            return around.names["super"]
        around = around.outer
    return UNKNOWN


def _follow_member(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    owner, key = owner_and_key(evaluation, node, scope)
    return member_of(evaluation, node, scope, owner, key)


def key_of(evaluation: Evaluation, node: Node | None, scope: Scope) -> str | None:
    """Return a property's name if it is known."""
    value = evaluation.value(node, scope)
    if len(value) == 1 and isinstance(value[0], Text):
        return value[0].value
    if node is not None:
        convert(evaluation, value, node)
    return None


def _follow_text(_evaluation: Evaluation, node: Node, _scope: Scope) -> Value:
    return (Text(string_value(node)),)


def template_values(evaluation: Evaluation, node: Node, scope: Scope) -> list[Value]:
    """Follow what is written in a template, in order."""
    return [
        evaluation.value(inner, scope)
        for part in node.named_children
        if part.type == "template_substitution"
        for inner in part.named_children
        if inner.type != "comment"
    ]


def _follow_template(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    for value in template_values(evaluation, node, scope):
        convert(evaluation, value, node)
    return PRIMITIVE


def _follow_primitive(_evaluation: Evaluation, _node: Node, _scope: Scope) -> Value:
    return PRIMITIVE


def _follow_meta(_evaluation: Evaluation, node: Node, _scope: Scope) -> Value:
    return (Builtin(text_of(node)),)


def _follow_regex(evaluation: Evaluation, node: Node, _scope: Scope) -> Value:
    """Make a regular expression: only those with ``g`` or ``y`` keep where they were."""
    flags = node.child_by_field_name("flags")
    has_state = flags is not None and not {"g", "y"}.isdisjoint(text_of(flags))
    return (evaluation.thing("collection" if has_state else "pattern"),)


def this_value(_evaluation: Evaluation, _node: Node, scope: Scope) -> Value:
    """Return what ``this`` may be where ``scope`` is."""
    around: Scope | None = scope
    while around is not None:
        if "this" in around.names:
            return around.names["this"]
        around = around.outer
    return PRIMITIVE


def inner_value(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    """Return what the expression in ``node`` gives: what is in parentheses, or after ``...``."""
    parts = [c for c in node.named_children if c.type != "comment"]
    return evaluation.value(parts[0] if parts else None, scope)


def last_value(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    """Follow the expressions in ``node`` and return what the last one gives."""
    value = PRIMITIVE
    for part in node.named_children:
        if part.type != "comment":
            value = evaluation.value(part, scope)
    return value


def _follow_angle_cast(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    return evaluation.value(node.named_children[-1], scope)


def _follow_binary(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    operator = text_of(node.child_by_field_name("operator"))
    left = evaluation.value(node.child_by_field_name("left"), scope)
    evaluation.maybe += 1
    right = evaluation.value(node.child_by_field_name("right"), scope)
    evaluation.maybe -= 1
    if operator in _LOGICAL:
        return joined(left, right)
    if operator not in _SAME:
        convert(evaluation, left, node)
        convert(evaluation, right, node)
    elif operator == "in":
        convert(evaluation, left, node)
        ask_proxies(evaluation, right, node)
    return PRIMITIVE


def _follow_ternary(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    evaluation.value(node.child_by_field_name("condition"), scope)
    evaluation.maybe += 1
    one = evaluation.value(node.child_by_field_name("consequence"), scope)
    added = _added_where_missing(node)
    if added is not None:
        other = _add(evaluation, added, scope)
    else:
        other = evaluation.value(node.child_by_field_name("alternative"), scope)
    evaluation.maybe -= 1
    return joined(one, other)


def _added_where_missing(node: Node) -> Node | None:
    """Return the assignment of ``a in b ? ... : b[a] = ...``, which calls no setter."""
    asked, other = (node.child_by_field_name(f) for f in ("condition", "alternative"))
    if asked is None or other is None or other.type != "assignment_expression":
        return None
    target = other.child_by_field_name("left")
    if target is None or target.type != "subscript_expression" or asked.type != "binary_expression":
        return None
    if text_of(asked.child_by_field_name("operator")) != "in":
        return None
    pairs = (("left", "index"), ("right", "object"))
    both = [(asked.child_by_field_name(a), target.child_by_field_name(b)) for a, b in pairs]
    is_same = all(
        a is not None and a.type == "identifier" and text_of(a) == text_of(b) for a, b in both
    )
    return other if is_same else None


def _add(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    """Follow an assignment to a member that is not there."""
    target = node.child_by_field_name("left")
    value = evaluation.value(node.child_by_field_name("right"), scope)
    if target is not None:
        owner, key = owner_and_key(evaluation, target, scope)
        put(evaluation, owner, key, value, target, is_new=True)
    return value


def _follow_unary(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    argument = node.child_by_field_name("argument")
    operator = text_of(node.child_by_field_name("operator"))
    if argument is None:
        return PRIMITIVE
    if operator == "typeof" and argument.type == "identifier":
        return PRIMITIVE  # may be asked of what nobody declares
    if operator == "delete" and argument.type in {"member_expression", "subscript_expression"}:
        owner, key = owner_and_key(evaluation, argument, scope)
        ask_proxies(evaluation, owner, node)
        evaluation.change(owner, key, node)
        return PRIMITIVE
    value = evaluation.value(argument, scope)
    if operator in {"+", "-", "~"}:
        convert(evaluation, value, node)
    return PRIMITIVE


def _follow_await(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    if evaluation.is_hasty and not evaluation.calls:
        evaluation.doubt("waits", node)  # before anything is followed
    settle(evaluation, inner_value(evaluation, node, scope), node)
    if not evaluation.calls:
        evaluation.doubt("waits", node)
    return UNKNOWN


def _follow_yield(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    for part in node.named_children:
        value = evaluation.value(part, scope)
        settle(evaluation, value, node)  # as asynchronous generators do
        if evaluation.is_later:
            evaluation.escape(value)
    if any(c.type == "*" for c in node.children):
        evaluation.doubt("goes through what may run code", node)
    return UNKNOWN


def _follow_jsx(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    for part in node.named_children:
        if part.type == "jsx_expression":
            last_value(evaluation, part, scope)
        elif part.type.startswith("jsx_") and part.type != "jsx_text":
            _follow_jsx(evaluation, part, scope)
    return UNKNOWN


EXPRESSIONS: Expressions = {
    "identifier": name_value,
    "shorthand_property_identifier": name_value,
    "member_expression": _follow_member,
    "subscript_expression": _follow_member,
    "string": _follow_text,
    "template_string": _follow_template,
    "number": _follow_primitive,
    "true": _follow_primitive,
    "false": _follow_primitive,
    "null": _follow_primitive,
    "undefined": _follow_primitive,
    "meta_property": _follow_meta,
    "private_property_identifier": _follow_primitive,
    "regex": _follow_regex,
    "this": this_value,
    "super": this_value,
    "parenthesized_expression": inner_value,
    "non_null_expression": inner_value,
    "instantiation_expression": inner_value,
    "spread_element": inner_value,
    "computed_property_name": inner_value,
    "as_expression": inner_value,
    "satisfies_expression": inner_value,
    "type_assertion": _follow_angle_cast,
    "sequence_expression": last_value,
    "binary_expression": _follow_binary,
    "ternary_expression": _follow_ternary,
    "unary_expression": _follow_unary,
    "await_expression": _follow_await,
    "yield_expression": _follow_yield,
    "jsx_element": _follow_jsx,
    "jsx_self_closing_element": _follow_jsx,
}
