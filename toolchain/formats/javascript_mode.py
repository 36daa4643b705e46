"""Where a script asks ``process.env.NODE_ENV``, which bundlers replace and no browser has."""

from __future__ import annotations

from tree_sitter import Node, QueryCursor

from toolchain.formats.javascript import parse, query

MODE = b"process.env.NODE_ENV"
_GUARD = b"typeof process"
_BRANCHES = {
    "if_statement": ("consequence", "alternative"),
    "ternary_expression": ("consequence", "alternative"),
    "binary_expression": ("right",),
    "try_statement": ("body",),
    "switch_statement": ("body",),
    "for_statement": ("body",),
    "for_in_statement": ("body",),
    "while_statement": ("body",),
}


def asks_mode(data: bytes) -> int:
    """Return the first line in which a script surely asks for the mode without a guard; else 0.

    Whoever tests for ``process`` may do so anywhere: then only what always runs is sure.

    >>> asks_mode(b"if (process.env.NODE_ENV === 'production') f();")
    1
    >>> asks_mode(b"const mode = typeof process === 'object' && process.env.NODE_ENV;")
    0
    """
    if MODE not in data:
        return 0
    dialect, tree = parse(data)
    found = QueryCursor(query(dialect, "(member_expression) @one")).captures(tree.root_node)
    asked = [node for node in found.get("one", ()) if node.text == MODE]
    if _GUARD in data:
        asked = [node for node in asked if _always_runs(node)]
    return min((node.start_point.row + 1 for node in asked), default=0)


def _always_runs(node: Node) -> bool:
    """Whether an expression is evaluated whenever its module is."""
    inner, outer = node, node.parent
    while outer is not None:
        if "function" in outer.type or outer.type in {"method_definition", "class_body"}:
            return False
        if any(outer.child_by_field_name(f) == inner for f in _BRANCHES.get(outer.type, ())):
            return False
        inner, outer = outer, outer.parent
    return True
