"""Syntax trees of JavaScript and TypeScript, as tree-sitter makes them."""

from __future__ import annotations

from dataclasses import dataclass

from tree_sitter import Node

from toolchain.formats.javascript import Dialect, first_problem, parse
from toolchain.formats.javascript_text import string_value

__all__ = ["Dialect", "Node", "SourceTree", "read_tree", "string_value", "text_of"]


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The tree of one file."""

    root: Node
    dialect: Dialect
    problem: str  # the first thing that is not understood, with its line


def read_tree(data: bytes) -> SourceTree:
    """Parse a file; what is not understood is a ``problem``, never an exception."""
    dialect, tree = parse(data)
    return SourceTree(tree.root_node, dialect, first_problem(tree))


def text_of(node: Node | None) -> str:
    """Return the text of a node; "" for none."""
    return (node.text or b"").decode("utf-8", errors="replace") if node is not None else ""
