"""Reads one module into items, imports and exports; what is not understood claims nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from sys import intern

from toolchain.formats.javascript import comments
from toolchain.formats.javascript_tree import (
    Captures,
    Node,
    SourceTree,
    captures,
    read_tree,
    string_value,
    text_of,
)
from toolchain.formats.jsx_comments import JsxComments, jsx_comments
from toolchain.program.inert import is_inert
from toolchain.program.module import (
    DEFAULT,
    NAMESPACE,
    NOTHING,
    Clause,
    Export,
    Form,
    Import,
    Item,
    ItemKind,
    ModuleText,
    Star,
    Uses,
)
from toolchain.program.name_query import ESCAPED, QUERIES
from toolchain.program.names import Names, Piece

_KINDS: dict[str, ItemKind] = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "class_declaration": "class",
    "abstract_class_declaration": "class",
    "lexical_declaration": "variable",
    "variable_declaration": "variable",
    "enum_declaration": "enum",
    "internal_module": "statement",
}
_NOTHING = frozenset(
    {"comment", "hash_bang_line", "html_comment", "empty_statement", "interface_declaration"}
    | {"type_alias_declaration", "ambient_declaration", "function_signature"}
)
_ESM = frozenset({"import_statement", "export_statement"})
_COMMONJS = frozenset({"require", "module", "exports"})


def read_module(data: bytes) -> ModuleText:
    """Read a module.

    >>> module = read_module(b'import {f} from "./f.js"; export const a = f(1), b = 2;')
    >>> [(item.declares, sorted(item.uses)) for item in module.items]
    [(('a',), ['f']), (('b',), [])]
    """
    tree = read_tree(data)
    return read_captured(tree, captures(tree, QUERIES) if not tree.problem else {})


def read_captured(tree: SourceTree, found: Captures) -> ModuleText:
    """Read a module by what ``QUERIES`` captures in it."""
    if tree.problem:
        return ModuleText("script", problem=tree.problem)
    try:
        is_esm = any(c.type in _ESM for c in tree.root.named_children)
        markup = _markup(tree.data) if found.get("jsx") else None
        calls = markup.calls if markup is not None else ()
        names = Names(tree.data, found, is_esm=is_esm, jsx_calls=calls)
        reading = _Reading(tree, names, problem=_unread(tree, found))
        return replace(reading.module(), markup=markup)
    except RecursionError:
        return ModuleText("script", problem="nested too deeply to be followed")


def _markup(data: bytes) -> JsxComments:
    return jsx_comments(comments(data)) if b"@jsx" in data else JsxComments()


def _unread(tree: SourceTree, found: Captures) -> str:
    """Return what is valid in a module and not understood here."""
    if found.get("using"):  # the grammar of TypeScript takes it for an assignment
        return "using, in TypeScript"
    is_escaped = b"\\u" in tree.data and captures(tree, ESCAPED)
    return "a name is written with an escape" if is_escaped else ""


@dataclass
class _Reading:
    tree: SourceTree
    names: Names
    items: list[Item] = field(default_factory=list)
    clauses: list[Clause] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    stars: list[Star] = field(default_factory=list)
    is_esm: bool = False
    problem: str = ""

    def module(self) -> ModuleText:
        for statement in self.tree.root.named_children:
            self._statement(statement)
        declared = {name for item in self.items for name in item.declares}
        used = {n for i in self.items for n in i.uses} - declared
        if "eval" in used:
            self.problem = self.problem or "eval may use any name"
        form: Form = "module" if self.is_esm else "script"
        if not self.is_esm and (used & _COMMONJS or any(i.gives for i in self.items)):
            form = "commonjs"
        return ModuleText(
            form,
            tuple(self.items),
            tuple(self.clauses),
            tuple(self.imports),
            tuple(self.exports),
            tuple(self.stars),
            frozenset(self.names.set_members) or NOTHING,
            self.problem,
        )

    def _statement(self, node: Node) -> None:
        kind = node.type
        if kind in _NOTHING or (kind == "expression_statement" and _is_directive(node)):
            return
        if kind == "import_statement":
            self.is_esm = True
            self._import(node)
        elif kind == "export_statement":
            self.is_esm = True
            self._export(node)
        else:
            self._item(node, (node.start_byte, node.end_byte))

    # items

    def _item(self, node: Node, of: tuple[int, int]) -> tuple[str, ...]:
        """Add what a statement or declaration says; return the names that it declares."""
        kind = _KINDS.get(node.type, "statement")
        if kind == "variable":
            declarators = [c for c in node.named_children if c.type == "variable_declarator"]
            return tuple(name for one in declarators for name in self._declarator(one, of))
        found = self._names_of(node, of)
        declared = tuple(sorted(set(found.declares)))
        item = Item(kind, *of, declared, found.uses, found.writes, found.loads, of=of)
        if node.type == "expression_statement" and node.named_child_count:
            item = _with_purpose(item, node.named_children[0])
        self.items.append(item)
        return declared

    def _declarator(self, node: Node, of: tuple[int, int]) -> tuple[str, ...]:
        found = self._names_of(node)
        start, end = node.start_byte, node.end_byte
        self.items.append(
            Item(
                "variable",
                start,
                end,
                found.declares,
                found.uses,
                found.writes,
                found.loads,
                of=of,
                inert=is_inert(node),
            )
        )
        return found.declares

    def _names_of(self, node: Node, of: tuple[int, int] | None = None) -> Piece:
        """Return the names in ``node``; decorators of a class may stand before its ``export``."""
        start = of[0] if of and _KINDS.get(node.type) == "class" else node.start_byte
        return self.names.piece(start, node.end_byte)

    def _import(self, node: Node) -> None:
        source = node.child_by_field_name("source")
        if any(c.type == "import_require_clause" for c in node.named_children) or source is None:
            self.problem = self.problem or "import = require()"
            return
        if any(c.type in {"type", "typeof"} for c in node.children):
            return
        number = self._clause(node, source)
        clause = next((c for c in node.named_children if c.type == "import_clause"), None)
        for part in clause.named_children if clause is not None else []:
            self._import_part(part, string_value(source), number)

    def _import_part(self, part: Node, source: str, clause: int) -> None:
        text = intern(text_of(part))
        if part.type == "identifier":
            self.imports.append(Import(text, source, "default", clause, text))
        elif part.type == "namespace_import":
            local = text_of(part.named_children[0])
            self.imports.append(Import(local, source, NAMESPACE, clause, text))
        elif part.type == "named_imports":
            for one in part.named_children:
                if one.type != "import_specifier" or any(c.type == "type" for c in one.children):
                    continue
                name = one.child_by_field_name("name")
                alias = one.child_by_field_name("alias") or name
                local, imported = intern(text_of(alias)), intern(_name(name))
                self.imports.append(Import(local, source, imported, clause, intern(text_of(one))))

    def _clause(self, node: Node, source: Node | None) -> int:
        tail = next((text_of(c) for c in node.named_children if c.type == "import_attribute"), "")
        value = string_value(source) if source is not None else ""
        self.clauses.append(Clause(node.start_byte, node.end_byte, value, tail))
        return len(self.clauses) - 1

    # exports

    def _export(self, node: Node) -> None:
        kinds = {child.type for child in node.children}
        if "type" in kinds:
            return
        span = (node.start_byte, node.end_byte)
        declaration = node.child_by_field_name("declaration")
        if declaration is not None and "default" not in kinds:
            if declaration.type not in _NOTHING:
                declared = self._item(declaration, span)
                self.exports += [Export(name, local=name) for name in declared]
            return
        value, source = node.child_by_field_name("value"), node.child_by_field_name("source")
        if "default" in kinds:
            self._default(declaration if declaration is not None else value, span)
        elif source is not None or "export_clause" in kinds:
            self._list(node, source)
        elif value is not None or "=" in kinds:
            self.problem = self.problem or "export ="

    def _default(self, node: Node | None, span: tuple[int, int]) -> None:
        if node is None or node.type in _NOTHING:
            return
        kind = _KINDS.get(node.type, "variable")
        found = self._names_of(node, span)
        declared = tuple(sorted(set(found.declares))) or (DEFAULT,)
        if kind == "variable":
            declared = (DEFAULT,)
        uses, writes, loads = found.uses, found.writes, found.loads
        self.items.append(Item(kind, *span, declared, uses, writes, loads, of=span))
        self.exports.append(Export("default", local=declared[0]))

    def _list(self, node: Node, source: Node | None) -> None:
        number = self._clause(node, source)
        value = string_value(source) if source is not None else ""
        for part in node.named_children:
            if part.type == "namespace_export":
                name = _name(part.named_children[0])
                self.exports.append(
                    Export(
                        name,
                        "",
                        value,
                        NAMESPACE,
                        number,
                        f"* as {text_of(part.named_children[0])}",
                    )
                )
            elif part.type == "export_clause":
                for one in part.named_children:
                    if one.type == "export_specifier" and not any(
                        c.type == "type" for c in one.children
                    ):
                        self._specifier(one, value, number)
        if any(c.type == "*" for c in node.children):
            self.stars.append(Star(value, number))

    def _specifier(self, node: Node, source: str, clause: int) -> None:
        name = node.child_by_field_name("name")
        alias = node.child_by_field_name("alias") or name
        local, imported = ("", _name(name)) if source else (text_of(name), "")
        self.exports.append(Export(_name(alias), local, source, imported, clause, text_of(node)))


def _is_directive(node: Node) -> bool:
    """Whether a statement is nothing but a string: ``"use strict"`` stays wherever it stands."""
    return [c.type for c in node.named_children] == ["string"]


def _name(node: Node | None) -> str:
    """Return a name that may be written as a string."""
    if node is None:
        return ""
    return string_value(node) if node.type == "string" else text_of(node)


def _with_purpose(item: Item, value: Node) -> Item:
    """Return an item that is a statement with what it is there for: members, names, a call."""
    gives = _gives(value)
    uses = item.uses
    if gives:  # naming the members it sets is no use of `exports`
        left = {n: m for n, m in uses.items() if n not in {"exports", "module"}}
        uses = {**left, **_other_members(uses, gives)}
    return replace(item, uses=uses, gives=gives, sets=tuple(_sets(value)), asks=tuple(_asks(value)))


def _gives(node: Node) -> tuple[str, ...]:
    """Return the members of ``exports`` that a statement sets: ``exports.a = exports.b = ...``."""
    names: list[str] = []
    value: Node | None = node
    while value is not None and value.type == "assignment_expression":
        member = _member_of_exports(value.child_by_field_name("left"))
        if not member:
            return ()
        names.append(member)
        value = value.child_by_field_name("right")
    return tuple(names)


def _start_of(node: Node | None) -> Node | None:
    """Return ``a`` of ``a.b[c].d``."""
    while node is not None and node.type in {"member_expression", "subscript_expression"}:
        node = node.child_by_field_name("object")
    return node


def _sets(value: Node) -> Iterator[str]:
    """Yield the names that a statement ``a.b = ...`` is there to set; nothing for any other."""
    while value.type in {"assignment_expression", "augmented_assignment_expression"}:
        left, right = value.child_by_field_name("left"), value.child_by_field_name("right")
        start = _start_of(left)
        if start is None or right is None or start.type != "identifier":
            return
        yield text_of(start)
        value = right


def _asks(call: Node) -> Iterator[str]:
    """Yield the names that a statement ``f(a)`` is about; nothing for any other."""
    arguments = call.child_by_field_name("arguments")
    if call.type not in {"call_expression", "new_expression"} or arguments is None:
        return
    callee = call.child_by_field_name("function") or call.child_by_field_name("constructor")
    for one in (callee, *arguments.named_children):
        start = _start_of(one)
        if start is not None and start.type == "identifier":
            yield text_of(start)


def _member_of_exports(node: Node | None) -> str:
    """Return ``a`` of ``exports.a`` and of ``module.exports.a``."""
    if node is None or node.type != "member_expression":
        return ""
    owner = text_of(node.child_by_field_name("object"))
    is_exports = owner in {"exports", "module.exports"}
    return text_of(node.child_by_field_name("property")) if is_exports else ""


def _other_members(uses: Uses, gives: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """Return what an item that sets members of ``exports`` reads of it besides."""
    members = uses.get("exports", frozenset()) - set(gives)
    return {"exports": members} if members and "module" not in uses else {}
