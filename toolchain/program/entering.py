"""Enters functions: what their bodies do, with what they are given."""

from __future__ import annotations

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
