"""Whether what a module imports can be loaded late: where it is used, and how that is written.

An import can become ``import()`` where every use is a call that is awaited, or returned, by an
``async`` function: its caller waits already. The import statement is then replaced by a function of
the same name that loads the module and calls on; calls, and the order in which their arguments are
computed, stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tree_sitter import Node

from toolchain.formats.javascript_exports import is_type_only
from toolchain.formats.javascript_parsing import Dialect, parse
from toolchain.formats.javascript_text import string_value

_FUNCTIONS = frozenset(
    {
        "function_declaration",
        "function_expression",
        "arrow_function",
        "method_definition",
        "generator_function",
        "generator_function_declaration",
    }
)
_VALUES = frozenset({"function_expression", "arrow_function", "generator_function"})
_STEPS = frozenset({"parenthesized_expression", "as_expression", "satisfies_expression"})


@dataclass(frozen=True, slots=True)
class Statement:
    """An import statement of names: ``names`` are pairs of the exported and the local one."""

    specifier: str
    start: int
    end: int
    line: int  # 1-based
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Late:
    """What is to be done about one import: ``edits`` that apply it, and why it is not safe.

    Edits are byte ranges and texts; none if nobody can say how to write it. ``used`` are the
    exported names that the code uses; others are types, or left over.
    """

    edits: Mapping[tuple[int, int], str]
    unsafe: str = ""
    used: frozenset[str] = frozenset()


def statements(data: bytes) -> tuple[list[Statement], list[str]]:
    """Return the imports of names, and specifiers of what is imported in any other eager way."""
    _, tree = parse(data)
    found, others = [], []
    for node in tree.root_node.named_children:
        source = node.child_by_field_name("source")
        if source is None or is_type_only(node):
            continue
        names = _names(node) if node.type == "import_statement" else None
        specifier = string_value(source)
        if names:
            line = node.start_point.row + 1
            found.append(Statement(specifier, node.start_byte, node.end_byte, line, tuple(names)))
        else:
            others.append(specifier)
    return found, others


def _names(statement: Node) -> list[tuple[str, str]] | None:
    """Return exported and local names; None for ``import "x"`` and ``import * as x``."""
    clause = next((c for c in statement.named_children if c.type == "import_clause"), None)
    if clause is None:
        return None
    names = []
    for child in clause.named_children:
        if child.type == "identifier":
            names.append(("default", _text(child)))
        elif child.type == "named_imports":
            names += [pair for s in child.named_children if (pair := _pair(s)) is not None]
        else:
            return None
    return names


def _pair(specifier: Node) -> tuple[str, str] | None:
    name, alias = (specifier.child_by_field_name(f) for f in ("name", "alias"))
    if specifier.type != "import_specifier" or name is None:
        return None
    if any(c.type == "type" for c in specifier.children):
        return None
    return (_text(name), _text(alias if alias is not None else name))


def exported_functions(data: bytes) -> set[str]:
    """Return the names under which a module exports functions of its own."""
    _, tree = parse(data)
    names: set[str] = set()
    for node in tree.root_node.named_children:
        declaration = node.child_by_field_name("declaration")
        value = node.child_by_field_name("value")
        if node.type == "export_statement" and value is not None and value.type in _VALUES:
            names.add("default")
        if node.type != "export_statement" or declaration is None:
            continue
        default = any(c.type == "default" for c in node.children)
        if declaration.type == "function_declaration":
            name = declaration.child_by_field_name("name")
            names.add("default" if default or name is None else _text(name))
        elif declaration.type == "lexical_declaration" and declaration.children[0].type == "const":
            names |= {_text(n) for n, v in _declared(declaration) if v.type in _VALUES}
    return names


def _declared(declaration: Node) -> Iterator[tuple[Node, Node]]:
    for declarator in declaration.named_children:
        name, value = (declarator.child_by_field_name(f) for f in ("name", "value"))
        if name is not None and value is not None and name.type == "identifier":
            yield name, value


def late(data: bytes, statement: Statement) -> Late:
    """Return how ``statement`` becomes a late import, and whether that is safe."""
    dialect, tree = parse(data)
    uses = list(_uses(tree.root_node, statement))
    wrong = next((problem for use in uses if (problem := _problem(use))), "")
    names = {local: name for name, local in statement.names}
    used = frozenset(names[_text(use)] for use in uses)
    if wrong:
        return Late(_awaited(statement, uses, dialect), wrong, used)
    edits = {(statement.start, statement.end): _facades(statement, uses, dialect)}
    return Late(edits, used=used)


def _uses(root: Node, statement: Statement) -> Iterator[Node]:
    """Yield the identifiers that may mean what is imported."""
    locals_ = {local for _, local in statement.names}
    todo = [root]
    while todo:
        node = todo.pop()
        if node.start_byte == statement.start and node.type == "import_statement":
            continue
        if node.type in {"identifier", "shorthand_property_identifier"} and _text(node) in locals_:
            yield node
        todo += reversed(node.named_children)


def _problem(use: Node) -> str:
    """Return why a use cannot wait; empty if it does already."""
    line = f"line {use.start_point.row + 1}: {_text(use)}"
    call = use.parent
    if (
        call is None
        or call.type != "call_expression"
        or call.child_by_field_name("function") != use
    ):
        return f"{line} is used otherwise than by a call"
    if any(c.type in {"optional_chain", "?."} for c in call.children):
        return f"{line} is called if it is there"
    return f"{line} {why}" if (why := _waits_not(call)) else ""


def _waits_not(call: Node) -> str:
    """Return why nobody waits for what a call gives; empty if somebody does."""
    outer, inner = _outside(call)
    function, tried = _function(call)
    if function is None or not any(c.type == "async" for c in function.children):
        return "is called where nothing is async"
    if "generator" in function.type or any(c.type == "*" for c in function.children):
        return "is called in a generator"
    if outer.type == "await_expression":
        return ""
    body = function.child_by_field_name("body")
    if outer.type != "return_statement" and not (outer == function and body == inner):
        return "is called, and nobody waits for it"
    return "is returned inside of a try block without await" if tried else ""


def _outside(node: Node) -> tuple[Node, Node]:
    """Return what a value goes to, past parentheses and types, and what it is there."""
    inner, outer = node, node.parent
    while outer is not None and outer.type in _STEPS:
        inner, outer = outer, outer.parent
    assert outer is not None  # noqa: S101 - for the type checker: a call is never the whole program
    return outer, inner


def _function(node: Node) -> tuple[Node | None, bool]:
    """Return the function around ``node``, and whether a try block lies between."""
    tried = False
    outer = node.parent
    while outer is not None and outer.type not in _FUNCTIONS:
        tried = tried or outer.type == "try_statement"
        if outer.type in {"class_static_block", "field_definition", "public_field_definition"}:
            return None, tried
        outer = outer.parent
    return outer, tried


def _facades(statement: Statement, uses: list[Node], dialect: Dialect) -> str:
    """Return functions in the place of an import; types that came with it stay an import."""
    used = {_text(use) for use in uses}
    from_ = json.dumps(statement.specifier, ensure_ascii=False)
    typed = dialect != "javascript"
    lines = []
    for name, local in statement.names:
        if local in used:
            of = f'typeof import({from_})["{name}"]'
            args = f"...args: Parameters<{of}>" if typed else "...args"
            lines.append(
                f"function {local}({args}) {{ return import({from_})"
                f".then(({{ {name}: run }}) => run(...args)); }}"
            )
    types = [n if n == a else f"{n} as {a}" for n, a in statement.names if a not in used]
    if typed and types:
        lines.append(f"import type {{ {', '.join(types)} }} from {from_};")
    return "\n".join(lines)


def _awaited(
    statement: Statement, uses: list[Node], dialect: Dialect
) -> dict[tuple[int, int], str]:
    """Return each use with the import in its place; none where something is not async."""
    edits: dict[tuple[int, int], str] = {}
    names = {local: name for name, local in statement.names}
    from_ = json.dumps(statement.specifier, ensure_ascii=False)
    for use in uses:
        function, _ = _function(use)
        is_async = function is not None and any(c.type == "async" for c in function.children)
        if not is_async or use.type != "identifier":
            return {}
        edits[use.start_byte, use.end_byte] = f"(await import({from_})).{names[_text(use)]}"
    types = [n for n, a in statement.names if a not in {_text(u) for u in uses}]
    keeps = dialect != "javascript" and types
    rest = f"import type {{ {', '.join(types)} }} from {from_};" if keeps else ""
    return {(statement.start, statement.end): rest, **edits}


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", errors="replace")
