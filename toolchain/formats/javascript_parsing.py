"""Parses JavaScript and TypeScript with tree-sitter, and finds the dialect by trying.

JavaScript first, then TypeScript, then TSX; each query is compiled once.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Literal

import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser, Query, Tree

Dialect = Literal["javascript", "typescript", "tsx"]


def readable(data: bytes) -> bytes:
    """Return ``data`` with an underscore for each byte that is not UTF-8.

    tree-sitter's binding for Python crashes the process when a query's predicate meets such a
    byte (0.26.1); every offset stays what it was.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors="surrogateescape")
        return "".join("_" if "\udc80" <= c <= "\udcff" else c for c in text).encode()
    return data


@cache
def _language(dialect: Dialect) -> Language:
    if dialect == "javascript":
        return Language(tree_sitter_javascript.language())
    if dialect == "typescript":
        return Language(tree_sitter_typescript.language_typescript())
    return Language(tree_sitter_typescript.language_tsx())


@cache
def query(dialect: Dialect, text: str) -> Query:
    """Return a query, compiled once."""
    return Query(_language(dialect), text)


@lru_cache(maxsize=1)  # who asks for mentions asks for names next
def parse(data: bytes) -> tuple[Dialect, Tree]:
    """Return the first dialect that understands all of ``data``, else the one that got furthest."""
    data = readable(data)
    best: tuple[int, Dialect, Tree] | None = None
    order: tuple[Dialect, ...] = ("javascript", "typescript", "tsx")
    for dialect in order:
        tree = Parser(_language(dialect)).parse(data)
        error = _first_error(tree.root_node)
        if error is None:
            return dialect, tree
        if best is None or error.start_byte > best[0]:
            best = (error.start_byte, dialect, tree)
    assert best is not None  # noqa: S101 - for the type checker: `order` is not empty
    return best[1], best[2]


def _first_error(root: Node) -> Node | None:
    node = root
    while node.has_error:
        if node.is_error or node.is_missing:
            return node
        node = next(c for c in node.children if c.has_error or c.is_missing)
    return node if node.is_missing else None


def first_problem(tree: Tree) -> str:
    """Return the first thing that is not understood, with its line; "" if all is."""
    error = _first_error(tree.root_node)
    if error is None:
        return ""
    line = error.start_point.row + 1
    if error.is_missing:
        return f"line {line}: {error.type!r} is missing"
    seen = (error.text or b"").decode("utf-8", errors="replace").split("\n")[0][:40]
    return f"line {line}: not understood as JavaScript or TypeScript: {seen!r}"
