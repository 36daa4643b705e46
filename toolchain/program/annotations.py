"""Reads what authors say about calls in comments, as bundlers do."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node


def is_pure(node: Node) -> bool:
    """Whether an author says that a call changes nothing: ``/* @__PURE__ */`` before it."""
    before = node.prev_sibling
    if before is None and node.parent is not None and node.parent.type == "expression_statement":
        before = node.parent.prev_sibling
    return _says(before, b"__PURE__")


def is_without_effects(function: Node) -> bool:
    """Whether an author says so of all calls: ``/* @__NO_SIDE_EFFECTS__ */``."""
    return _says(function.prev_sibling, b"__NO_SIDE_EFFECTS__")


def _says(comment: Node | None, word: bytes) -> bool:
    return comment is not None and comment.type == "comment" and word in (comment.text or b"")
