"""The names an ES module exports, as its own text says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from toolchain.formats.javascript_text import string_value

_NAMED = frozenset(
    {
        "function_declaration",
        "generator_function_declaration",
        "class_declaration",
        "abstract_class_declaration",
        "enum_declaration",
        "internal_module",
    }
)
_PATTERNS = frozenset({"object_pattern", "array_pattern", "rest_pattern"})


@dataclass(frozen=True, slots=True)
class Exports:
    """``names`` are a module's own, ``stars`` the modules whose names it passes on."""

    names: tuple[str, ...]
    stars: tuple[str, ...]
    esm: bool  # it has an import or export statement


def is_type_only(statement: Node) -> bool:
    """Whether an import or export statement is about types alone, so that nothing is loaded.

    ``import type ...``, and a list of names that are all marked ``type``.
    """
    if any(child.type == "type" for child in statement.children):
        return True
    for clause in statement.named_children:
        lists = [clause, *clause.named_children]
        if clause.type == "import_clause" and any(c.type == "identifier" for c in lists[1:]):
            return False  # a default import beside the list is a value
        for names in lists:
            if names.type in {"named_imports", "export_clause"} and names.named_child_count:
                return all(_is_type(name) for name in names.named_children)
    return False


def _is_type(specifier: Node) -> bool:
    return any(child.type == "type" for child in specifier.children)


def read_exports(root: Node) -> Exports:
    """Return what the top level of a module exports; types are left out.

    Surprise: a TypeScript name that is exported in a list (``export { A }``) may be a type; only
    one that is declared as a type in the same file is left out.
    """
    names: set[str] = set()
    stars: list[str] = []
    types: set[str] = set()
    esm = False
    for statement in root.named_children:
        types |= _declared_types(statement)
        if _is_commonjs(statement):
            continue
        if statement.type == "import_statement":
            esm = True
        elif statement.type == "export_statement":
            esm = True
            if not is_type_only(statement):
                names |= set(_exported(statement))
                stars += _star(statement)
    return Exports(tuple(sorted(names - types)), tuple(stars), esm)


def _is_commonjs(statement: Node) -> bool:
    """Whether this is ``import x = require()`` or ``export =``: TypeScript's words for CommonJS."""
    requires = any(child.type == "import_require_clause" for child in statement.named_children)
    gives = statement.type == "export_statement" and any(c.type == "=" for c in statement.children)
    return requires or gives


def _declared_types(statement: Node) -> set[str]:
    found = set()
    for node in (statement, *statement.named_children):
        if node.type in {"interface_declaration", "type_alias_declaration"}:
            name = node.child_by_field_name("name")
            found |= {_text(name)} if name is not None else set()
    return found


def _star(statement: Node) -> list[str]:
    source = statement.child_by_field_name("source")
    star = any(child.type == "*" for child in statement.children)
    return [string_value(source)] if star and source is not None else []


def _exported(statement: Node) -> Iterator[str]:
    declaration = statement.child_by_field_name("declaration")
    if any(child.type == "default" for child in statement.children):
        # `export default interface I` is about a type
        if declaration is None or declaration.type != "interface_declaration":
            yield "default"
        return
    if declaration is not None:
        yield from _declared(declaration)
    for child in statement.named_children:
        if child.type == "export_clause":
            yield from (
                _outer_name(s)
                for s in child.named_children
                if s.type == "export_specifier" and not _is_type(s)
            )
        elif child.type == "namespace_export":
            yield _name(child.named_children[0])


def _outer_name(specifier: Node) -> str:
    outer = specifier.child_by_field_name("alias") or specifier.child_by_field_name("name")
    return _name(outer) if outer is not None else ""


def _declared(declaration: Node) -> Iterator[str]:
    if declaration.type in _NAMED:
        name = declaration.child_by_field_name("name")
        if name is not None:
            yield _text(name)
    elif declaration.type in {"lexical_declaration", "variable_declaration"}:
        for declarator in declaration.named_children:
            name = declarator.child_by_field_name("name")
            if name is not None:
                yield from _bound(name)


def _bound(pattern: Node) -> Iterator[str]:
    """Yield the names that a destructuring pattern binds."""
    if pattern.type in {"identifier", "shorthand_property_identifier_pattern"}:
        yield _text(pattern)
    elif pattern.type == "pair_pattern":
        value = pattern.child_by_field_name("value")
        yield from _bound(value) if value is not None else ()
    elif pattern.type in {"assignment_pattern", "object_assignment_pattern"}:
        left = pattern.child_by_field_name("left")
        yield from _bound(left) if left is not None else ()
    elif pattern.type in _PATTERNS:
        for child in pattern.named_children:
            yield from _bound(child)


def _name(node: Node) -> str:
    return string_value(node) if node.type == "string" else _text(node)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", errors="replace")
