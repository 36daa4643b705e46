"""Finds what ``import()`` and ``require`` load, and which members of that are used."""

from __future__ import annotations

from toolchain.formats.javascript_text import UNKNOWN, pattern_of
from toolchain.formats.javascript_tree import Node, string_value, text_of
from toolchain.program.module import Load

Members = frozenset[str] | None  # None: any may be used

_FUNCTIONS = frozenset(
    {"arrow_function", "function_expression", "function_declaration", "method_definition"}
    | {"generator_function", "generator_function_declaration", "class_static_block"}
)


def load_of(call: Node) -> Load | None:
    """Return what a call loads; None if it loads nothing, or nobody can tell what."""
    callee, arguments = (call.child_by_field_name(f) for f in ("function", "arguments"))
    if callee is None or arguments is None:
        return None
    is_import = callee.type == "import"
    if not is_import and not (callee.type == "identifier" and text_of(callee) == "require"):
        return None
    named = [c for c in arguments.named_children if c.type != "comment"]
    source = pattern_of(named[0]) if named else UNKNOWN
    if UNKNOWN in source:
        return None  # who asks for the module's edges learns that its targets are unknown
    held = call
    if is_import and held.parent is not None and held.parent.type == "await_expression":
        held = held.parent
    members, via = _members_of(held, promised=is_import and held is call)
    return Load(source, call.start_byte, "import()" if is_import else "require", members, via)


def _members_of(held: Node, *, promised: bool) -> tuple[Members, str]:
    """Return which members of a loaded module are used, and the name that holds it, if one does.

    ``held`` is the expression that gives the module, or, ``promised``, the promise of it.
    """
    outer = held.parent
    while outer is not None and outer.type == "parenthesized_expression":
        held, outer = outer, outer.parent
    if outer is None:
        return None, ""
    if promised:
        return _members_of_promised(held, outer), ""
    if outer.type == "expression_statement":
        return frozenset(), ""
    if outer.type == "member_expression" and outer.child_by_field_name("object") == held:
        return frozenset({text_of(outer.child_by_field_name("property"))}), ""
    if outer.type == "variable_declarator":
        return _members_of_declared(outer)
    return None, ""


def _members_of_declared(declarator: Node) -> tuple[Members, str]:
    name = declarator.child_by_field_name("name")
    if name is not None and name.type == "object_pattern":
        return _keys(name), ""
    if name is None or name.type != "identifier":
        return None, ""
    block = _around(declarator)
    if block is None:
        return None, text_of(name)
    return _members_in(block, text_of(name), name), ""


def _members_of_promised(held: Node, outer: Node) -> Members:
    """Return the members used by ``import(x).then(m => ...)``; of ``void import(x)`` none."""
    if outer.type == "expression_statement":
        return frozenset()
    if outer.type == "unary_expression":
        return frozenset() if text_of(outer.child_by_field_name("operator")) == "void" else None
    function = _given_to_then(held, outer)
    if function is None:
        return None
    one = _first_parameter(function)
    if one is None:
        return frozenset()
    if one.type == "object_pattern":
        return _keys(one)
    return _members_in(function, text_of(one), one) if one.type == "identifier" else None


def _given_to_then(held: Node, outer: Node) -> Node | None:
    """Return the function that ``then`` of a promise gets; None for any other use of it."""
    if outer.type != "member_expression" or outer.child_by_field_name("object") != held:
        return None
    call = outer.parent
    named = text_of(outer.child_by_field_name("property"))
    if call is None or call.type != "call_expression" or named != "then":
        return None
    arguments = call.child_by_field_name("arguments")
    first = arguments.named_children[0] if arguments and arguments.named_child_count else None
    # not a function expression: that may read `arguments`
    return first if first is not None and first.type == "arrow_function" else None


def _first_parameter(function: Node) -> Node | None:
    parameters = function.child_by_field_name("parameters")
    one = function.child_by_field_name("parameter")
    if parameters is not None and parameters.named_child_count:
        one = parameters.named_children[0]
    if one is not None and one.type in {"required_parameter", "optional_parameter"}:
        one = one.child_by_field_name("pattern")
    return one


def _keys(pattern: Node) -> Members:
    keys = set()
    for part in pattern.named_children:
        if part.type == "shorthand_property_identifier_pattern":
            keys.add(text_of(part))
        elif part.type in {"pair_pattern", "object_assignment_pattern"}:
            key = part.child_by_field_name("key") or part.child_by_field_name("left")
            if key is None or key.type == "computed_property_name":
                return None
            keys.add(string_value(key) if key.type == "string" else text_of(key))
        elif part.type != "comment":
            return None  # ...rest
    return frozenset(keys)


def _around(declarator: Node) -> Node | None:
    """Return where in a function a declared name is seen; None at the top of a module."""
    declaration = declarator.parent
    is_var = declaration is not None and declaration.type == "variable_declaration"
    outer = declarator.parent
    block = None
    while outer is not None:
        if outer.type in _FUNCTIONS:
            return block
        if outer.type in {"statement_block", "switch_body"} and (block is None or is_var):
            block = outer
        outer = outer.parent
    return None


def _members_in(block: Node, name: str, declared: Node) -> Members:
    """Return the members of ``name`` that ``block`` uses; None if it is used as a whole."""
    members: set[str] = set()
    todo = [block]
    while todo:
        node = todo.pop()
        if node.type not in {"identifier", "shorthand_property_identifier"}:
            todo += node.named_children
        elif node != declared and text_of(node) == name:
            outer = node.parent
            is_owner = outer is not None and outer.type == "member_expression"
            if outer is None or not is_owner or outer.child_by_field_name("object") != node:
                return None
            members.add(text_of(outer.child_by_field_name("property")))
    return frozenset(members)
