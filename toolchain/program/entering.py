"""Enters functions: what their bodies do, with what they are given."""

from __future__ import annotations

from collections.abc import Collection

from toolchain.formats.javascript_tree import Node
from toolchain.program.assignments import bind
from toolchain.program.evaluation import Evaluation, Frame
from toolchain.program.implicit import settle
from toolchain.program.statements import statements
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

_FUNCTIONS = frozenset(
    {"arrow_function", "function_expression", "generator_function", "method_definition"}
    | {"function_declaration", "generator_function_declaration", "class"}
)
_DEEPEST = 12  # ours: calls inside of calls
_MOST_TIMES = 3  # ours: a function in itself, each time with something else


def enter(evaluation: Evaluation, function: Thing, given: Given, this: Value) -> Value:
    """Follow the body of a function."""
    node = function.node
    if node is None:
        evaluation.doubt("calls something unknown")
        return UNKNOWN
    if not _is_new(evaluation, function, given, this):
        return UNKNOWN
    inner = evaluation.scope(function.scope)
    if node.type != "arrow_function":
        inner.names["this"] = this or UNKNOWN
        inner.names["arguments"] = (evaluation.thing("array", others=given.everything),)
    if _holds_two_scopes(node):
        evaluation.doubt("has functions in its parameters, and `var`", node)
    frame = Frame(function, given, this)
    evaluation.calls.append(frame)
    try:
        _parameters(evaluation, node, given, inner)
        body = node.child_by_field_name("body")
        if body is not None and body.type == "statement_block":
            statements(evaluation, body.named_children, inner)
        elif body is not None:
            frame.returned = evaluation.value(body, inner)
    finally:
        evaluation.calls.pop()
    return _given_back(evaluation, frame, node)


def _given_back(evaluation: Evaluation, frame: Frame, node: Node) -> Value:
    """Return what a call gives whose body was followed."""
    function, given, this = frame.function, frame.given, frame.this
    sorts = {c.type for c in node.children}
    if "*" in sorts and "async" not in sorts:
        about = {"base": (function,), "given": given, "this": this}  # the body runs again later
        return (evaluation.thing("iterator", others=UNKNOWN, **about),)
    if "async" in sorts:
        settle(evaluation, frame.returned, node)
        return UNKNOWN
    return frame.returned or PRIMITIVE


def _is_new(evaluation: Evaluation, function: Thing, given: Given, this: Value) -> bool:
    """Whether there is anything to learn from following a call; too many are in doubt."""
    again = [f for f in evaluation.calls if f.function.node == function.node]
    for frame in again:
        is_same = frame.function.scope is function.scope
        if is_same and _covers(frame, joined(given.everything, this, function.this)):
            return False
    if len(evaluation.calls) >= _DEEPEST or len(again) >= _MOST_TIMES:
        evaluation.doubt("calls too deep to be followed", function.node)
        return False
    return True


def _covers(frame: Frame, value: Value) -> bool:
    seen = {*frame.given.everything, *frame.this, *frame.function.this}
    return all(isinstance(one, Primitive | Text) or one in seen for one in value)


def _holds_two_scopes(function: Node) -> bool:
    """Whether a function in the parameters could take a ``var`` of the body for its own name.

    One scope is followed for both; nothing else sees a difference.
    """
    parameters, body = (function.child_by_field_name(f) for f in ("parameters", "body"))
    if parameters is None or body is None or body.type != "statement_block":
        return False
    return any(_holds(p, _FUNCTIONS, ()) for p in parameters.named_children) and _holds(
        body, {"variable_declaration"}, _FUNCTIONS
    )


def _holds(node: Node, kinds: Collection[str], but_in: Collection[str]) -> bool:
    """Whether there is syntax of some kinds in ``node``, but for what is inside of others."""
    todo = [node]
    while todo:
        one = todo.pop()
        if one.type in kinds:
            return True
        if one.type not in but_in:
            todo += one.named_children
    return False


def _parameters(evaluation: Evaluation, node: Node, given: Given, scope: Scope) -> None:
    single = node.child_by_field_name("parameter")
    many = node.child_by_field_name("parameters")
    listed = [single] if single is not None else many.named_children if many else []
    for number, parameter in enumerate(p for p in listed if p.type != "comment"):
        pattern = parameter.child_by_field_name("pattern") or parameter
        if pattern.type == "rest_pattern":
            rest = evaluation.thing("array", others=given.rest(number).everything)
            bind(evaluation, pattern, (rest,), scope, scope)
        else:
            bind(evaluation, parameter, given.at(number), scope, scope)
