"""Calls whatever an expression may give."""

from __future__ import annotations

from collections.abc import Callable

from toolchain.formats.javascript_tree import Node
from toolchain.program import builtins
from toolchain.program.annotations import is_pure, is_without_effects
from toolchain.program.builtin_calls import call_builtin, read_only
from toolchain.program.classes import construct, construct_super
from toolchain.program.entering import enter
from toolchain.program.evaluation import Endless, Evaluation, Expressions, short
from toolchain.program.expressions import member_of, owner_and_key, template_values
from toolchain.program.literals import arguments_of
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Alternative,
    Builtin,
    Given,
    Primitive,
    Scope,
    Text,
    Thing,
    Value,
    joined,
)

_MEMBERS = frozenset({"member_expression", "subscript_expression"})


def _follow_call(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    callee = node.child_by_field_name("function")
    arguments = node.child_by_field_name("arguments")
    if callee is None or arguments is None:
        evaluation.doubt(f"calls {short(node)}, which is not followed,", node)
        return UNKNOWN
    if callee.type == "import":
        evaluation.doubt("loads a module", node)
        return UNKNOWN
    if callee.type == "super":
        return construct_super(evaluation, arguments, scope, node)
    function, this = _called(evaluation, callee, scope)
    if arguments.type == "template_string":
        values = template_values(evaluation, arguments, scope)
        given = Given((UNKNOWN, *values))
    else:
        given = arguments_of(evaluation, arguments, scope)
    return _believed(evaluation, node, lambda: call(evaluation, function, given, this, node))


def _called(evaluation: Evaluation, callee: Node, scope: Scope) -> tuple[Value, Value]:
    """Return what is called, and what ``this`` is there."""
    while callee.type == "parenthesized_expression" and callee.named_child_count == 1:
        callee = callee.named_children[0]
    if callee.type not in _MEMBERS:
        return evaluation.value(callee, scope), ()
    owner, key = owner_and_key(evaluation, callee, scope)
    return member_of(evaluation, callee, scope, owner, key), owner


def _believed(evaluation: Evaluation, node: Node, follow: Callable[[], Value]) -> Value:
    """Return what ``follow`` finds that a call gives, and forget what the call does if it is pure.

    Its author says that. So nothing is lost but the value where there is too much to follow.
    """
    if not is_pure(node):
        return follow()
    before = (set(evaluation.changes), evaluation.proved, evaluation.unknown)
    escaped, handed = dict(evaluation.escaped), set(evaluation.handed)
    lost = evaluation.lost
    around = (evaluation.maybe, evaluation.tries)
    steps, is_hasty = evaluation.steps, evaluation.is_hasty
    evaluation.is_hasty = False  # what is in doubt in there does not count
    try:
        value = follow()
    except Endless:
        value = UNKNOWN
        evaluation.given_up += evaluation.steps - steps
        evaluation.steps = steps
        evaluation.maybe, evaluation.tries = around
    evaluation.changes, evaluation.proved, evaluation.unknown = before
    evaluation.escaped, evaluation.handed, evaluation.lost = escaped, handed, lost
    evaluation.is_hasty = is_hasty
    return value


def call(evaluation: Evaluation, function: Value, given: Given, this: Value, node: Node) -> Value:
    """Call what ``function`` may be."""
    if function and all(isinstance(one, Primitive | Text) for one in function):
        evaluation.doubt(f"calls {short(node)}, which is no function,", node)
    is_one = len(function) == 1
    evaluation.maybe += not is_one
    found = [_call_one(evaluation, one, given, this, node) for one in function]
    evaluation.maybe -= not is_one
    return joined(*found)


def _call_one(
    evaluation: Evaluation, one: Alternative, given: Given, this: Value, node: Node
) -> Value:
    if isinstance(one, Builtin):
        return call_builtin(evaluation, one.path, given, this, node)
    if isinstance(one, Primitive | Text):
        return PRIMITIVE  # that throws; another alternative is meant
    if isinstance(one, Thing) and one.kind == "bound" and one.given is not None:
        return call(evaluation, one.base, given.after(one.given), one.this, node)
    if not isinstance(one, Thing) or one.kind != "function" or one.node is None:
        evaluation.doubt(f"calls something unknown, {short(node)},", node)
        evaluation.escape(joined(given.everything, this))
        return UNKNOWN
    if is_without_effects(one.node):
        return UNKNOWN
    return enter(evaluation, one, given, this)


def _follow_new(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    made = evaluation.value(node.child_by_field_name("constructor"), scope)
    given = arguments_of(evaluation, node.child_by_field_name("arguments"), scope)
    return _believed(
        evaluation, node, lambda: joined(*[make(evaluation, o, given, node) for o in made])
    )


def make(evaluation: Evaluation, one: Alternative, given: Given, node: Node) -> Value:
    """Follow ``new`` of what may be a class or constructor."""
    if isinstance(one, Builtin):
        return _new_builtin(evaluation, builtins.without_global(one.path), given, node)
    if isinstance(one, Thing) and one.kind == "bound" and one.given is not None:
        given = given.after(one.given)
        return joined(*(make(evaluation, base, given, node) for base in one.base))
    if not isinstance(one, Thing):
        evaluation.doubt(f"makes something unknown, {short(node)},", node)
        evaluation.escape(given.everything)
        return UNKNOWN
    instance = evaluation.thing("instance", base=(one,))
    instead = construct(evaluation, one, given, (instance,), node)
    return (instance, *(o for o in instead if not isinstance(o, Primitive | Text)))


def _new_builtin(evaluation: Evaluation, path: str, given: Given, node: Node) -> Value:
    if path in builtins.STARTS:
        evaluation.act(f"makes a {path}", node)
        evaluation.escape(given.everything)
        return UNKNOWN
    if path == "Proxy":
        # what reads it calls its traps
        return (evaluation.thing("proxy", others=given.everything),)
    if path == "Promise" or builtins.reads_only(path):
        return read_only(evaluation, path, given, node, is_open=False)
    evaluation.doubt(f"makes a {path}, which is not known,", node)
    evaluation.escape(given.everything)
    return UNKNOWN


EXPRESSIONS: Expressions = {"call_expression": _follow_call, "new_expression": _follow_new}
