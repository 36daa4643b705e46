"""Syntax trees of JavaScript and TypeScript, as tree-sitter makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tree_sitter import Node, QueryCursor

from toolchain.formats.javascript_parsing import Dialect, first_problem, parse, query, readable
from toolchain.formats.javascript_text import string_value

__all__ = [
    "Captures",
    "Dialect",
    "Node",
    "SourceTree",
    "captures",
    "read_tree",
    "string_value",
    "text_of",
]


Captures = Mapping[str, Sequence[Node]]  # the nodes that a query captures, by capture


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The tree of one file."""

    data: bytes  # the text that offsets are of
    root: Node
    dialect: Dialect
    problem: str  # the first thing that is not understood, with its line


def read_tree(data: bytes) -> SourceTree:
    """Parse a file; what is not understood is a ``problem``, never an exception."""
    dialect, tree = parse(data)
    return SourceTree(readable(data), tree.root_node, dialect, first_problem(tree))


def captures(tree: SourceTree, queries: Mapping[Dialect, str]) -> Captures:
    """Return the nodes that the query for the dialect of ``tree`` captures, by capture."""
    return QueryCursor(query(tree.dialect, queries[tree.dialect])).captures(tree.root)


def text_of(node: Node | None) -> str:
    """Return the text of a node; "" for none."""
    return (node.text or b"").decode("utf-8", errors="replace") if node is not None else ""
