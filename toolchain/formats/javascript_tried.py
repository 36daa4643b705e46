"""Finds statements that are there to see whether they throw, and keeps minifiers from them.

``'a' in x;`` does nothing where ``x`` is an object, and throws where it is none; ``+x;`` calls
``valueOf``. Minifiers take operators, templates and the constructors of the language for something
that can be left out where nobody uses the value. As what ``delete`` is asked about it stays:
``delete[,[x]][1]`` evaluates ``x``, and deletes an element of an array that nobody else has. Each
minifier sees through other ways to write that (``delete[x][0]``: bun writes ``delete x``; swc
leaves out what is no element), none through this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolchain.formats.javascript_tree import Dialect, Node, captures, read_tree, text_of

_QUERY = (
    "(expression_statement) @done "
    "[(lexical_declaration) (variable_declaration) (class_declaration)] @named"
)
_QUERIES: dict[Dialect, str] = {"javascript": _QUERY, "typescript": _QUERY, "tsx": _QUERY}
_LOGICAL = frozenset({"&&", "||", "??"})
_SAME = frozenset({"===", "!=="})  # they ask for no string or number, and never throw
_CONVERTING = frozenset({"+", "-", "~"})
_THROUGH = frozenset({"!", "typeof", "void"})  # they do nothing with what they are given
# what passes on what is in it, in these fields
_PASSING: dict[str, tuple[str, ...]] = {
    "parenthesized_expression": (),
    "sequence_expression": (),
    "binary_expression": ("left", "right"),
    "unary_expression": ("argument",),
    "ternary_expression": ("condition", "consequence", "alternative"),
}
_READS = frozenset({"identifier", "member_expression", "subscript_expression"})
_FUNCTIONS = frozenset(
    {"arrow_function", "function_expression", "function_declaration", "method_definition"}
    | {"generator_function", "generator_function_declaration", "class_static_block"}
)
# of ECMAScript and the web: minifiers know that they do nothing but make something, or throw
_MAKERS = re.compile(
    "(Aggregate|Eval|Range|Reference|Syntax|Type|URI)?Error|Array|(Shared)?ArrayBuffer|BigInt|"
    "(BigInt64|BigUint64|Float32|Float64|Int16|Int32|Int8|Uint16|Uint32|Uint8|Uint8Clamped)Array|"
    "Boolean|DataView|Date|(Weak)?(Map|Set)|Number|Object|Promise|Proxy|RegExp|String|Symbol|"
    "URL|URLSearchParams|WeakRef"
)


def shields(data: bytes) -> dict[tuple[int, int], str]:
    """Return what to insert into a script so that no minifier leaves such a statement out.

    Surprise: of code that does not parse nothing is returned.
    """
    tree = read_tree(data)
    if tree.problem:
        return {}
    edits: dict[tuple[int, int], str] = {}
    found = captures(tree, _QUERIES)
    for statement in found.get("done", ()):
        value = statement.named_children[0] if statement.named_children else None
        if value is None or not _is_alone(statement) or _is_believed(statement, value):
            continue
        if _is_silent(value, is_tried=_is_tried(statement)):
            edits[value.start_byte, value.start_byte] = "delete[,["
            edits[value.end_byte, value.end_byte] = "]][1]"
    for statement in found.get("named", ()):
        if _is_alone(statement) and _is_tried(statement):
            names = "".join(f";delete[,[{name}]][1]" for name in _unused(statement))
            if names:
                is_class = statement.type == "class_declaration"  # it ends without a semicolon
                edits[_end_of(statement)] = f"{names};" if is_class else names
    return edits


def _end_of(statement: Node) -> tuple[int, int]:
    """Return where more can be written: before the semicolon, and before any comment."""
    parts = [part for part in statement.named_children if part.type != "comment"]
    return parts[-1].end_byte, parts[-1].end_byte


def _is_alone(statement: Node) -> bool:
    """Whether it is a statement: what a ``for`` begins with and asks is none."""
    around = statement.parent
    if around is None or around.type != "for_statement":
        return around is not None
    return around.child_by_field_name("body") == statement


def _is_believed(statement: Node, value: Node) -> bool:
    """Whether its author says that it can be left out."""
    before = value.prev_sibling or statement.prev_sibling
    return before is not None and before.type == "comment" and "__PURE__" in text_of(before)


def _is_silent(node: Node, *, is_tried: bool) -> bool:
    """Whether minifiers may leave an expression out although evaluating it is noticed."""
    if node.type in _READS:
        return is_tried
    if node.type == "binary_expression":
        operator = text_of(node.child_by_field_name("operator"))
        if operator not in _LOGICAL | _SAME:
            return True
    if node.type == "unary_expression":
        operator = text_of(node.child_by_field_name("operator"))
        if operator not in _THROUGH:
            return operator in _CONVERTING
    if node.type in _PASSING:
        parts = (node.child_by_field_name(field) for field in _PASSING[node.type])
        some = [p for p in parts if p is not None] or node.named_children
        return any(_is_silent(part, is_tried=is_tried) for part in some)
    return _makes(node)


def _makes(node: Node) -> bool:
    """Whether an expression makes something of the language's own, and nobody has it."""
    if node.type == "template_string":
        return any(child.type == "template_substitution" for child in node.named_children)
    if node.type == "array":
        return any(child.type == "spread_element" for child in node.named_children)
    if node.type == "class":
        return any(child.type == "class_heritage" for child in node.named_children)
    field = {"new_expression": "constructor", "call_expression": "function"}.get(node.type)
    return field is not None and bool(_MAKERS.fullmatch(text_of(node.child_by_field_name(field))))


def _is_tried(node: Node) -> bool:
    """Whether something catches what a statement throws, in the same function."""
    inner, around = node, node.parent
    while around is not None and around.type not in _FUNCTIONS:
        if around.type == "try_statement" and around.child_by_field_name("body") == inner:
            return True
        inner, around = around, around.parent
    return False


def _unused(statement: Node) -> Iterator[str]:
    """Yield the names that a statement declares, to see whether that throws, and nobody uses."""
    if statement.type == "class_declaration":
        declared = [statement.child_by_field_name("name")] if _extends(statement) else []
    else:
        declared = [
            one.child_by_field_name("name")
            for one in statement.named_children
            if one.type == "variable_declarator" and _may_throw(one.child_by_field_name("value"))
        ]
    around = statement.parent
    for name in declared:
        if name is None or name.type != "identifier" or around is None:
            continue
        if _times(around, text_of(name)) == 1:
            yield text_of(name)


def _extends(node: Node) -> bool:
    return any(child.type == "class_heritage" for child in node.named_children)


def _may_throw(value: Node | None) -> bool:
    return value is not None and _is_silent(value, is_tried=True)


def _times(node: Node, name: str) -> int:
    """Return how often a name stands in ``node``."""
    todo, found = [node], 0
    while todo:
        one = todo.pop()
        found += one.type.endswith("identifier") and text_of(one) == name
        todo += one.named_children
    return found
