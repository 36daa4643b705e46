"""Finds the names that statements, functions and classes declare, each in its scope."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node, text_of
from toolchain.program.module import AWAIT
from toolchain.program.names import QUIET, Handlers, Names, Scope


def _lexical(names: Names, node: Node, scope: Scope) -> None:
    for child in node.named_children:
        if child.type == "variable_declarator":
            names.declarator(child, scope, scope)


def _var(names: Names, node: Node, scope: Scope) -> None:
    for child in node.named_children:
        if child.type == "variable_declarator":
            names.declarator(child, scope.function, scope)


def _function_declaration(names: Names, node: Node, scope: Scope) -> None:
    name = node.child_by_field_name("name")
    if name is not None:
        scope.declared.add(text_of(name))
    _function(names, node, scope, names_itself=False)


def _function_expression(names: Names, node: Node, scope: Scope) -> None:
    _function(names, node, scope, names_itself=True)


def _function(names: Names, node: Node, scope: Scope, *, names_itself: bool) -> None:
    """Walk parameters and body of any sort of function."""
    inner = Scope()
    inner.declared.add(AWAIT)
    name = node.child_by_field_name("name")
    if names_itself and name is not None:
        if name.type == "computed_property_name":
            names.walk(name, scope)
        elif name.type == "identifier":
            inner.declared.add(text_of(name))
    if node.type != "arrow_function":
        inner.declared.add("arguments")
    if node.type == "method_definition":
        inner.declared.add("this")
    names.each(node.children_by_field_name("decorator"), scope)
    _parameters(names, node, inner)
    body = node.child_by_field_name("body")
    if body is not None and body.type == "statement_block":
        names.each(body.named_children, inner)
    elif body is not None:
        names.walk(body, inner)
    inner.close_into(scope)


def _parameters(names: Names, node: Node, scope: Scope) -> None:
    parameters = node.child_by_field_name("parameters")
    single = node.child_by_field_name("parameter")
    for one in parameters.named_children if parameters is not None else [single]:
        if one is not None and one.type not in QUIET:
            names.declare(one, scope, scope)


def _class_declaration(names: Names, node: Node, scope: Scope) -> None:
    name = node.child_by_field_name("name")
    if name is not None:
        scope.declared.add(text_of(name))
    _class_parts(names, node, scope)


def _class_expression(names: Names, node: Node, scope: Scope) -> None:
    inner = Scope(scope.function)
    name = node.child_by_field_name("name")
    if name is not None:
        inner.declared.add(text_of(name))
    _class_parts(names, node, inner)
    inner.close_into(scope)


def _class_parts(names: Names, node: Node, scope: Scope) -> None:
    """Walk heritage, decorators and body of a class."""
    name = node.child_by_field_name("name")
    for child in node.named_children:
        if child != name:
            names.walk(child, scope)


def _field(names: Names, node: Node, scope: Scope) -> None:
    inner = Scope()  # `this` and `arguments` are its own; `var` cannot stand here
    inner.declared |= {"this", "arguments"}
    for child in node.named_children:
        names.walk(child, inner)
    inner.close_into(scope)


def _static_block(names: Names, node: Node, scope: Scope) -> None:
    inner = Scope()
    inner.declared.add("this")
    names.each(node.named_children, inner)
    inner.close_into(scope)


def _block(names: Names, node: Node, scope: Scope) -> None:
    inner = Scope(scope.function)
    names.each(node.named_children, inner)
    inner.close_into(scope)


def _catch(names: Names, node: Node, scope: Scope) -> None:
    inner = Scope(scope.function)
    parameter, body = node.child_by_field_name("parameter"), node.child_by_field_name("body")
    if parameter is not None:
        names.declare(parameter, inner, inner)
    if body is not None:
        names.each(body.named_children, inner)
    inner.close_into(scope)


def _for_in(names: Names, node: Node, scope: Scope) -> None:
    inner = Scope(scope.function)
    if any(child.type == "await" for child in node.children):
        inner.use(AWAIT)
    kind, left = node.child_by_field_name("kind"), node.child_by_field_name("left")
    if left is not None and kind is not None:
        names.declare(left, inner.function if kind.type == "var" else inner, inner)
    elif left is not None:
        names.target(left, inner)
    for field in ("value", "right", "body"):
        child = node.child_by_field_name(field)
        if child is not None:
            names.walk(child, inner)
    inner.close_into(scope)


def _enum(names: Names, node: Node, scope: Scope) -> None:
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name is not None:
        scope.declared.add(text_of(name))
    inner = Scope(scope.function)
    for member in body.named_children if body is not None else []:
        if member.type == "enum_assignment":
            key, value = member.child_by_field_name("name"), member.child_by_field_name("value")
            inner.declared |= {text_of(key)} if key is not None else set()
            if value is not None:
                names.walk(value, inner)
        else:
            inner.declared.add(text_of(member))
    inner.close_into(scope)


def _namespace(names: Names, node: Node, scope: Scope) -> None:
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name is not None:
        scope.declared.add(text_of(name).partition(".")[0])
    inner = Scope()
    if body is not None:
        names.each(body.named_children, inner)
    inner.close_into(scope)


HANDLERS: Handlers = {
    "lexical_declaration": _lexical,
    "variable_declaration": _var,
    "function_declaration": _function_declaration,
    "generator_function_declaration": _function_declaration,
    "function_expression": _function_expression,
    "generator_function": _function_expression,
    "arrow_function": _function_expression,
    "method_definition": _function_expression,
    "class_declaration": _class_declaration,
    "abstract_class_declaration": _class_declaration,
    "class": _class_expression,
    "field_definition": _field,
    "public_field_definition": _field,
    "class_static_block": _static_block,
    "statement_block": _block,
    "switch_body": _block,
    "for_statement": _block,
    "for_in_statement": _for_in,
    "catch_clause": _catch,
    "enum_declaration": _enum,
    "internal_module": _namespace,
    "module": _namespace,
}
