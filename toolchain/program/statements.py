"""Follows statements: both branches of a condition, loops until nothing new is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from toolchain.formats.javascript_tree import Node, text_of
from toolchain.program.assignments import bind
from toolchain.program.evaluation import Evaluation, Statements, short
from toolchain.program.expressions import last_value
from toolchain.program.implicit import ask_proxies, elements, settle
from toolchain.program.literals import made_function
from toolchain.program.values import PRIMITIVE, UNKNOWN, Builtin, Scope, Unknown, Value, joined

_ROUNDS = 8  # ours: of a loop that goes on giving names new functions
_KEEPING = frozenset({"var", "let", "const"})
_MEMBERS = frozenset({"member_expression", "subscript_expression"})


def statements(evaluation: Evaluation, nodes: Sequence[Node], scope: Scope) -> None:
    """Follow statements; functions are there before the first."""
    for node in nodes:
        if node.type in {"function_declaration", "generator_function_declaration"}:
            name = text_of(node.child_by_field_name("name"))
            scope.names[name] = (made_function(evaluation, node, scope),)
            if scope.is_block:  # without "use strict" it is a name of the function around, too
                _for_var(scope).names[name] = UNKNOWN
    for node in nodes:
        evaluation.statement(node, scope)


def _follow_expression_statement(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    for part in node.named_children:
        if part.type == "comment":
            continue
        value = evaluation.value(part, scope)
        if part.type in _MEMBERS and not evaluation.calls:
            _read_for_effect(evaluation, value, part)


def _read_for_effect(evaluation: Evaluation, value: Value, node: Node) -> None:
    if any(isinstance(one, Unknown | Builtin) for one in value):
        evaluation.doubt(f"reads {short(node)} and nothing else", node)


def _follow_declaration(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    into = scope if node.type == "lexical_declaration" else _for_var(scope)
    for part in node.named_children:
        if part.type == "variable_declarator":
            declarator(evaluation, part, scope, into)


def _for_var(scope: Scope) -> Scope:
    """Return where ``var`` declares: in the function around."""
    while scope.is_block and scope.outer is not None:
        scope = scope.outer
    return scope


def declarator(evaluation: Evaluation, node: Node, scope: Scope, into: Scope) -> None:
    """Follow one ``a = 1`` of a declaration."""
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    given = evaluation.value(value, scope) if value is not None else PRIMITIVE
    if name is not None:
        bind(evaluation, name, given, scope, into)


def _follow_return(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    value = last_value(evaluation, node, scope)
    if evaluation.calls:
        frame = evaluation.calls[-1]
        frame.returned = joined(frame.returned, value)


def _follow_block(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    statements(evaluation, node.named_children, evaluation.scope(scope, is_block=True))


def _follow_if(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    evaluation.value(node.child_by_field_name("condition"), scope)
    evaluation.maybe += 1
    for branch in ("consequence", "alternative"):
        _either(evaluation, node.child_by_field_name(branch), scope)
    evaluation.maybe -= 1


def _follow_else(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    for part in node.named_children:
        evaluation.statement(part, scope)


def _repeat(evaluation: Evaluation, once: Callable[[], None]) -> None:
    """Follow a loop's body until it puts nothing new anywhere."""
    evaluation.maybe += 1
    once()
    for _ in range(_ROUNDS):
        before = len(evaluation.put_there)
        once()
        if len(evaluation.put_there) == before:
            break
    else:
        evaluation.doubt("a loop goes on changing what it calls")
    evaluation.maybe -= 1


def _follow_for(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    inner = evaluation.scope(scope, is_block=True)
    _either(evaluation, node.child_by_field_name("initializer"), inner)

    def once() -> None:
        for part in ("condition", "body", "increment"):
            _either(evaluation, node.child_by_field_name(part), inner)

    _repeat(evaluation, once)


def _either(evaluation: Evaluation, node: Node | None, scope: Scope) -> None:
    """Follow what may be a statement or an expression."""
    if node is None:
        return
    if node.type in STATEMENTS:
        evaluation.statement(node, scope)
    else:
        evaluation.value(node, scope)


def _follow_for_in(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    inner = evaluation.scope(scope, is_block=True)
    through = evaluation.value(node.child_by_field_name("right"), scope)
    left, body = node.child_by_field_name("left"), node.child_by_field_name("body")
    is_of = text_of(node.child_by_field_name("operator")) == "of"
    value = _gone_through(evaluation, node, through) if is_of else PRIMITIVE
    if not is_of:
        ask_proxies(evaluation, through, node)
    kind = node.child_by_field_name("kind")
    into = None
    if kind is not None and kind.type not in _KEEPING:
        evaluation.doubt(f"a loop that disposes: {short(node)}", node)
    if kind is not None:
        into = _for_var(inner) if kind.type == "var" else inner

    def once() -> None:
        if left is not None:
            bind(evaluation, left, value, inner, into)
        if body is not None:
            evaluation.statement(body, inner)

    _repeat(evaluation, once)


def _gone_through(evaluation: Evaluation, node: Node, through: Value) -> Value:
    """Return what the variable of ``for ... of`` may be; ``for await`` waits for each."""
    value = elements(evaluation, through, node)
    if not any(child.type == "await" for child in node.children):
        return value
    settle(evaluation, value, node)
    if not evaluation.calls:
        evaluation.doubt("waits", node)
    return joined(value, UNKNOWN)


def _follow_while(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    def once() -> None:
        evaluation.value(node.child_by_field_name("condition"), scope)
        _either(evaluation, node.child_by_field_name("body"), scope)

    _repeat(evaluation, once)


def _follow_try(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    body, handler = node.child_by_field_name("body"), node.child_by_field_name("handler")
    finalizer = node.child_by_field_name("finalizer")
    evaluation.tries += handler is not None
    _either(evaluation, body, scope)
    evaluation.tries -= handler is not None
    if handler is not None:
        evaluation.maybe += 1
        inner = evaluation.scope(scope, is_block=True)
        parameter = handler.child_by_field_name("parameter")
        if parameter is not None:
            bind(evaluation, parameter, UNKNOWN, inner, inner)
        _either(evaluation, handler.child_by_field_name("body"), inner)
        evaluation.maybe -= 1
    if finalizer is not None:
        _either(evaluation, finalizer.child_by_field_name("body"), scope)


def _follow_throw(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    value = last_value(evaluation, node, scope)
    if evaluation.is_later:
        evaluation.escape(value)
    # under a condition, or after a return, it is a guard, and guards are believed to hold
    is_guard = evaluation.maybe or any(frame.returned for frame in evaluation.calls)
    if not evaluation.tries and not is_guard:
        evaluation.act("throws", node)


def _follow_switch(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    evaluation.value(node.child_by_field_name("value"), scope)
    inner = evaluation.scope(scope, is_block=True)
    body = node.child_by_field_name("body")
    evaluation.maybe += 1
    for case in body.named_children if body is not None else []:
        value = case.child_by_field_name("value")
        if value is not None:
            evaluation.value(value, inner)
        statements(evaluation, case.children_by_field_name("body"), inner)
    evaluation.maybe -= 1


def _follow_labeled(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    _either(evaluation, node.child_by_field_name("body"), scope)


def _follow_enum(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    body, name = node.child_by_field_name("body"), node.child_by_field_name("name")
    inner = evaluation.scope(scope)
    for member in body.named_children if body is not None else []:
        key = member.child_by_field_name("name") or member
        inner.names[text_of(key)] = PRIMITIVE
        if member.type == "enum_assignment":
            evaluation.value(member.child_by_field_name("value"), inner)
    if name is not None:
        scope.names[text_of(name)] = (evaluation.thing("object", is_open=True),)


def _follow_nothing(_evaluation: Evaluation, _node: Node, _scope: Scope) -> None:
    """Do nothing: declarations of types, and functions, which are there before the first."""


STATEMENTS: Statements = {
    "expression_statement": _follow_expression_statement,
    "lexical_declaration": _follow_declaration,
    "variable_declaration": _follow_declaration,
    "return_statement": _follow_return,
    "statement_block": _follow_block,
    "if_statement": _follow_if,
    "else_clause": _follow_else,
    "for_statement": _follow_for,
    "for_in_statement": _follow_for_in,
    "while_statement": _follow_while,
    "do_statement": _follow_while,
    "try_statement": _follow_try,
    "throw_statement": _follow_throw,
    "switch_statement": _follow_switch,
    "labeled_statement": _follow_labeled,
    "enum_declaration": _follow_enum,
    "comment": _follow_nothing,
    "empty_statement": _follow_nothing,
    "break_statement": _follow_nothing,
    "continue_statement": _follow_nothing,
    "debugger_statement": _follow_nothing,
    "interface_declaration": _follow_nothing,
    "type_alias_declaration": _follow_nothing,
    "ambient_declaration": _follow_nothing,
    "function_signature": _follow_nothing,
    "hash_bang_line": _follow_nothing,
    "html_comment": _follow_nothing,
    "function_declaration": _follow_nothing,
    "generator_function_declaration": _follow_nothing,
}
