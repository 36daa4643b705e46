"""Whether a module does nothing when it is loaded but to say what its names mean.

Nothing is run and nothing is followed: what is not certain by its text counts as an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tree_sitter import Node

from toolchain.formats.javascript_parsing import parse

_DECLARATIONS = frozenset(
    {
        "function_declaration",
        "generator_function_declaration",
        "import_statement",
        "interface_declaration",
        "type_alias_declaration",
        "ambient_declaration",
        "function_signature",
        "comment",
        "empty_statement",
    }
)
_VALUES = frozenset(
    {
        "string",
        "number",
        "true",
        "false",
        "null",
        "undefined",
        "regex",
        "arrow_function",
        "function_expression",
        "generator_function",
        "comment",
    }
)
_BUILT = frozenset({"Map", "Set", "WeakMap", "WeakSet"})  # without arguments: an empty one
_TYPED = frozenset({"as_expression", "satisfies_expression", "parenthesized_expression"})


def effect(data: bytes) -> str:
    """Return the first thing that a module does when it is loaded, with its line; empty if none."""
    _, tree = parse(data)
    for node in tree.root_node.named_children:
        if found := _statement(node):
            text = (found.text or b"").decode("utf-8", errors="replace").split("\n")[0]
            return f"line {found.start_point.row + 1}: {text[:60]}"
    return ""


def _statement(node: Node) -> Node | None:
    found: Node | None = node
    if node.type in _DECLARATIONS or _is_directive(node):
        found = None
    elif node.type == "export_statement":
        found = _exported(node)
    elif node.type in {"lexical_declaration", "variable_declaration"}:
        found = _first(node.named_children, _declarator)
    elif node.type in {"class_declaration", "abstract_class_declaration"}:
        found = _class(node)
    return found


def _first(nodes: Iterable[Node], acts: Callable[[Node], Node | None]) -> Node | None:
    return next((bad for node in nodes if (bad := acts(node)) is not None), None)


def _is_directive(node: Node) -> bool:
    return node.type == "expression_statement" and node.named_children[0].type == "string"


def _exported(node: Node) -> Node | None:
    declaration, value = (node.child_by_field_name(f) for f in ("declaration", "value"))
    if declaration is not None:
        return _statement(declaration)
    return _value(value) if value is not None else None  # else a list of names


def _declarator(node: Node) -> Node | None:
    if node.type == "comment":
        return None
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    if name is None or name.type != "identifier":
        return node  # taking a value apart asks it
    return _value(value) if value is not None else None


def _value(node: Node) -> Node | None:
    """Return what in an expression may do something, or depends on when it is computed."""
    found: Node | None = node
    if node.type in _VALUES or _is_empty_collection(node):
        found = None
    elif node.type in _TYPED:
        found = _value(node.named_children[0])
    elif node.type in {"array", "object", "unary_expression"}:
        found = _first(node.named_children, _value)
    elif node.type == "pair":
        found = _pair(node)
    elif node.type in {"method_definition", "template_string"}:
        computed = {"computed_property_name", "template_substitution"}
        found = node if any(c.type in computed for c in node.children) else None
    elif node.type == "class":
        found = _class(node)
    return found


def _pair(node: Node) -> Node | None:
    key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
    if key is None or value is None or key.type == "computed_property_name":
        return node
    if key.type == "property_identifier" and key.text == b"__proto__":
        return node
    return None if key.type == "comment" else _value(value)


def _is_empty_collection(node: Node) -> bool:
    if node.type != "new_expression":
        return False
    made, given = node.child_by_field_name("constructor"), node.child_by_field_name("arguments")
    named = made is not None and (made.text or b"").decode() in _BUILT
    return named and (given is None or not given.named_children)


def _class(node: Node) -> Node | None:
    """Return what a class does when it is declared: not what its methods would do."""
    for child in node.children:
        if child.type in {"class_heritage", "decorator"}:
            return child
    body = node.child_by_field_name("body")
    for member in body.named_children if body is not None else ():
        if member.type in {"class_static_block", "decorator"}:
            return member
        if any(c.type in {"computed_property_name", "decorator"} for c in member.children):
            return member
        static = any(c.type == "static" for c in member.children)
        value = member.child_by_field_name("value")
        if static and value is not None and (bad := _value(value)) is not None:
            return bad
    return None
