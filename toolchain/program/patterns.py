"""Takes patterns apart: ``{ a, b: [c = d], ...e }``."""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.formats.javascript_tree import Node

PATTERNS = frozenset(
    {"object_pattern", "array_pattern", "assignment_pattern", "rest_pattern"}
    | {"pair_pattern", "object_assignment_pattern"}
)
# The fields of patterns that hold more than patterns; whether each field is a pattern
_FIELDS: dict[str, tuple[tuple[str, bool], ...]] = {
    "pair_pattern": (("key", False), ("value", True)),
    "assignment_pattern": (("left", True), ("right", False)),
    "object_assignment_pattern": (("left", True), ("right", False)),
    "required_parameter": (("decorator", False), ("pattern", True), ("value", False)),
    "optional_parameter": (("decorator", False), ("pattern", True), ("value", False)),
}
_NAMES = frozenset({"property_identifier", "string", "number"})  # of members, not of variables


def parts(pattern: Node) -> Iterator[tuple[Node, bool]]:
    """Yield the parts of a pattern; whether each is a pattern itself, or an expression."""
    fields = _FIELDS.get(pattern.type)
    if fields is None:
        yield from ((child, True) for child in pattern.named_children if child.type != "comment")
        return
    for field, is_pattern in fields:
        for child in pattern.children_by_field_name(field):
            if child.is_named and (is_pattern or child.type not in _NAMES):
                yield child, is_pattern
