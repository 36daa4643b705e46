"""Where a script asks ``process.env.NODE_ENV``, which bundlers replace and no browser has."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node, QueryCursor

from toolchain.formats.javascript import read
from toolchain.formats.javascript_parsing import parse, query
from toolchain.formats.javascript_text import string_value

MODE = b"process.env.NODE_ENV"
_LOADS = frozenset({"import()", "require"})
_CONDITIONS = "[(if_statement) (ternary_expression) (binary_expression)] @one"
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


def never_loaded(data: bytes, mode: str) -> list[tuple[str, str]]:
    """Return what a script never loads where ``process.env.NODE_ENV`` is ``mode``, and how.

    Only what a comparison with the mode decides is known, and what nothing else in it loads.

    >>> code = b"if (process.env.NODE_ENV === 'production') require('a'); else require('b');"
    >>> never_loaded(code, "production"), never_loaded(code, "development")
    ([('b', 'require')], [('a', 'require')])
    """
    if MODE not in data:
        return []
    dialect, tree = parse(data)
    conditions = QueryCursor(query(dialect, _CONDITIONS)).captures(tree.root_node).get("one", ())
    dead = [span for node in conditions for span in _never_runs(node, mode)]
    loads = [m for m in read(data).mentions if m.how in _LOADS and not m.computed]
    never = {m for m in loads if any(start <= m.start < end for start, end in dead)}
    others = {m.target for m in loads if m not in never}
    return sorted({(m.target, m.how) for m in never if m.target not in others})


def _never_runs(node: Node, mode: str) -> Iterator[tuple[int, int]]:
    """Yield the bytes of the branch that a condition on the mode closes."""
    operator = node.child_by_field_name("operator")
    by_operator = {b"&&": (False, "right"), b"||": (True, "right")}
    if operator is not None:
        asked = by_operator.get(operator.text or b"")
        closed = {asked[0]: asked[1]} if asked else {}
        condition = node.child_by_field_name("left")
    else:
        closed = {True: "alternative", False: "consequence"}
        condition = node.child_by_field_name("condition")
    holds = _holds(condition, mode)
    branch = node.child_by_field_name(closed[holds]) if holds in closed else None
    if branch is not None:
        yield branch.start_byte, branch.end_byte


def _holds(condition: Node | None, mode: str) -> bool | None:
    """Return what a comparison of the mode with a string says; None for anything else."""
    while condition is not None and condition.type == "parenthesized_expression":
        condition = condition.named_children[0] if condition.named_children else None
    if condition is None or condition.type != "binary_expression":
        return None
    sides = [condition.child_by_field_name(side) for side in ("left", "right")]
    operator = condition.child_by_field_name("operator")
    texts = [side.text if side is not None else None for side in sides]
    words = [string_value(side) for side in sides if side is not None and side.type == "string"]
    if MODE not in texts or len(words) != 1 or operator is None:
        return None
    if operator.text in {b"===", b"=="}:
        return words[0] == mode
    return words[0] != mode if operator.text in {b"!==", b"!="} else None
