"""Declares classes and makes instances of them."""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.formats.javascript_tree import Node, text_of
from toolchain.program import builtins
from toolchain.program.builtin_calls import read_only
from toolchain.program.effects import ELEMENTS
from toolchain.program.entering import enter
from toolchain.program.evaluation import Evaluation, Expressions, Statements, home_of
from toolchain.program.expressions import inner_value, super_value, this_value
from toolchain.program.implicit import ask_proxies
from toolchain.program.literals import add_method, arguments_of, property_name
from toolchain.program.members import methods_of, store
from toolchain.program.statements import statements
from toolchain.program.values import (
    ANYTHING,
    PRIMITIVE,
    UNKNOWN,
    Builtin,
    Given,
    Primitive,
    Scope,
    Text,
    Thing,
    Value,
    joined,
)

_FIELDS = frozenset({"field_definition", "public_field_definition"})


def class_value(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    """Follow what a class does when it is declared, and return it, or what decorators make."""
    made = evaluation.thing("class", node=node, module=home_of(scope) or evaluation.module)
    inner = evaluation.scope(scope)
    inner.names["this"] = (made,)
    made.scope = inner
    name = node.child_by_field_name("name")
    if name is not None:
        inner.names[text_of(name)] = (made,)
    heritage = next((c for c in node.named_children if c.type == "class_heritage"), None)
    if heritage is not None:
        made.base = evaluation.value(_extended(heritage), scope)
        ask_proxies(evaluation, made.base, heritage)
    inner.names["super"] = made.base or UNKNOWN
    body = node.child_by_field_name("body")
    decorators: list[Node] = []
    for part in body.named_children if body is not None else []:
        if part.type == "decorator":
            decorators.append(part)  # TypeScript: they stand before what they decorate
            continue
        _class_part(evaluation, part, made, [*decorators, *_decorators(part)])
        decorators = []
    value = _decorated(evaluation, node, made, scope)
    if name is not None:
        inner.names[text_of(name)] = value
    return value


def _decorated(evaluation: Evaluation, node: Node, made: Thing, scope: Scope) -> Value:
    """Call the decorators of a class; each may give another one in its place."""
    value: Value = (made,)
    around = list(_decorators(node))
    if node.parent is not None and node.parent.type == "export_statement":
        around += _decorators(node.parent)
    for decorator in around:
        function = inner_value(evaluation, decorator, scope)
        found = evaluation.call(function, Given((value,), UNKNOWN), (), decorator)
        value = joined(value, tuple(o for o in found if not isinstance(o, Primitive | Text)))
        made.is_open = True
    return value


def _class_part(evaluation: Evaluation, part: Node, made: Thing, decorators: list[Node]) -> None:
    scope = made.scope
    if scope is None:
        return
    is_static = any(c.type == "static" for c in part.children)
    holder = made if is_static else methods_of(made)
    for decorator in [*decorators, *_decorators_of_parameters(part)]:
        evaluation.call(inner_value(evaluation, decorator, scope), ANYTHING, (), decorator)
    if part.type == "method_definition":
        add_method(evaluation, part, holder, scope)
    elif part.type in _FIELDS:
        name = part.child_by_field_name("property") or part.child_by_field_name("name")
        key = property_name(evaluation, name, scope)
        if is_static:
            value = evaluation.value(part.child_by_field_name("value"), scope)
            store(evaluation, made, key, value)
    elif part.type == "class_static_block":
        body = part.child_by_field_name("body")
        statements(
            evaluation, body.named_children if body is not None else [], evaluation.scope(scope)
        )
    if decorators:
        holder.others = joined(holder.others, UNKNOWN)


def construct(evaluation: Evaluation, made: Thing, given: Given, this: Value, node: Node) -> Value:
    """Follow what a class or function does to a new instance; return what it returns instead."""
    if made.kind == "function":
        return enter(evaluation, made, given, this)
    if made.kind != "class" or made.node is None or made.scope is None:
        evaluation.doubt("makes an instance of something unknown", node)
        return UNKNOWN
    constructor = _fields(evaluation, made, made.scope, this)
    if constructor is not None:
        scope = evaluation.scope(made.scope, is_block=True)
        own = evaluation.thing("function", node=constructor, module=made.module, scope=scope)
        return enter(evaluation, own, given, this)
    if made.base:
        return _construct_bases(evaluation, made.base, given, this, node)
    return PRIMITIVE


def _fields(evaluation: Evaluation, made: Thing, outer: Scope, this: Value) -> Node | None:
    """Give an instance its fields; return the constructor."""
    inner = evaluation.scope(outer)
    inner.names["this"] = this
    constructor = None
    body = made.node.child_by_field_name("body") if made.node is not None else None
    for part in body.named_children if body is not None else []:
        if any(c.type == "static" for c in part.children):
            continue
        if part.type in _FIELDS:
            _field(evaluation, part, this, inner)
        elif part.type == "method_definition":
            is_constructor = text_of(part.child_by_field_name("name")) == "constructor"
            constructor = part if is_constructor else constructor
    return constructor


def _field(evaluation: Evaluation, part: Node, this: Value, scope: Scope) -> None:
    """Give an instance one of its fields."""
    name = part.child_by_field_name("property") or part.child_by_field_name("name")
    value = evaluation.value(part.child_by_field_name("value"), scope)
    key = property_name(evaluation, name, scope)
    for one in this:
        if isinstance(one, Thing):
            store(evaluation, one, key, value)


def _construct_bases(
    evaluation: Evaluation, bases: Value, given: Given, this: Value, node: Node
) -> Value:
    found: Value = ()
    for base in bases:
        if isinstance(base, Thing):
            found = joined(found, construct(evaluation, base, given, this, node))
        elif isinstance(base, Builtin) and builtins.reads_only(base.path):
            _construct_builtin(evaluation, builtins.without_global(base.path), given, this, node)
        elif not isinstance(base, Primitive):
            evaluation.doubt("extends something unknown", node)
            evaluation.escape(joined(given.everything, this))
            for one in this:
                if isinstance(one, Thing):
                    one.is_open = True
    return found


def _construct_builtin(
    evaluation: Evaluation, path: str, given: Given, this: Value, node: Node
) -> None:
    """Let an instance of a class that extends an array or the like hold what it is given."""
    some = tuple(one for one in given.everything if not isinstance(one, Primitive | Text))
    if not some:
        return
    if path in builtins.VIEWS:
        evaluation.doubt("makes a view by a class of its own", node)
    made = read_only(evaluation, path, given, node, is_open=False)
    held = joined(some, *(one.others for one in made if isinstance(one, Thing)), UNKNOWN)
    for one in this:
        if isinstance(one, Thing):
            store(evaluation, one, ELEMENTS, held)


def construct_super(evaluation: Evaluation, arguments: Node, scope: Scope, node: Node) -> Value:
    """Follow ``super(...)``."""
    given = arguments_of(evaluation, arguments, scope)
    bases = super_value(scope)
    _construct_bases(evaluation, bases, given, this_value(evaluation, node, scope), node)
    return PRIMITIVE


def _extended(heritage: Node) -> Node | None:
    """Return the expression that a class extends."""
    for part in heritage.named_children:
        if part.type == "extends_clause":
            return part.child_by_field_name("value")
        if part.type not in {"comment", "implements_clause"}:
            return part
    return None


def _decorators(node: Node) -> Iterator[Node]:
    yield from (c for c in node.named_children if c.type == "decorator")


def _decorators_of_parameters(part: Node) -> Iterator[Node]:
    parameters = part.child_by_field_name("parameters")
    for parameter in parameters.named_children if parameters is not None else []:
        yield from _decorators(parameter)


def _follow_class(evaluation: Evaluation, node: Node, scope: Scope) -> Value:
    return class_value(evaluation, node, scope)


def _declare_class(evaluation: Evaluation, node: Node, scope: Scope) -> None:
    name = node.child_by_field_name("name")
    value = class_value(evaluation, node, scope)
    if name is not None:
        scope.names[text_of(name)] = value


EXPRESSIONS: Expressions = {"class": _follow_class}
STATEMENTS: Statements = {
    "class_declaration": _declare_class,
    "abstract_class_declaration": _declare_class,
}
