"""Reads JavaScript and TypeScript: what a module mentions, exports, and where it asks where it is.

Nothing is run and no other file is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tree_sitter import Node, QueryCursor, Tree

from toolchain.formats.javascript_exports import Exports, is_type_only, read_exports
from toolchain.formats.javascript_parsing import Dialect, first_problem, parse, query
from toolchain.formats.javascript_text import (
    UNKNOWN,
    is_sum,
    may_be_path,
    named_in_markup,
    pattern_of,
    string_value,
    worth_a_mention,
)
from toolchain.formats.jsx_comments import JsxComments, jsx_comments

# A "string" looks like the name of a file; a "path" is one only if there is a file just there
How = Literal["import", "require", "import()", "url", "worker", "worker url", "string", "path"]

# Constructors and methods whose first argument is a script that runs beside the page
_WORKERS = frozenset({"Worker", "SharedWorker"})
_SCRIPTS = frozenset({"addModule", "importScripts"})
_GUESSED = frozenset({"string", "path"})
_RELATIVE = ("./", "../", "/")

_QUERY = """
(import_statement source: (string) @import)
(export_statement source: (string) @import)
(call_expression function: (import) arguments: (arguments)) @call
((call_expression function: (identifier) @callee arguments: (arguments)) @call
 (#any-of? @callee "require" "importScripts" "addModule"))
((call_expression function: (member_expression property: (property_identifier) @callee)
  arguments: (arguments)) @call
 (#any-of? @callee "importScripts" "addModule"))
((new_expression constructor: (identifier) @constructor arguments: (arguments)) @new
 (#any-of? @constructor "URL" "Worker" "SharedWorker"))
((call_expression function: (member_expression
    object: (meta_property) property: (property_identifier) @callee)
  arguments: (arguments)) @resolve
 (#eq? @callee "resolve"))
((member_expression
  object: (meta_property) @meta property: (property_identifier) @property) @location
 (#eq? @property "url"))
((string) @string (#match? @string "[.][A-Za-z0-9]+([?#][^/]*)?.$|^.([.][.]?)?/[^/*]|(src|href)="))
((template_string) @string
 (#match? @string "[.][A-Za-z0-9]+([?#][^/]*)?.$|(src|href)="))
((binary_expression operator: "+" right: (string) @end) @sum
 (#match? @end "[.][A-Za-z0-9]+([?#][^/]*)?.$"))
"""
_TYPESCRIPT_QUERY = _QUERY + "(import_require_clause source: (string) @require)"
# What captures the places of mentions, for those who ask for more with the same query
_JSX_QUERY = "[(jsx_opening_element) (jsx_self_closing_element)] @element"
MENTIONS: dict[Dialect, str] = {
    "javascript": _QUERY + _JSX_QUERY,
    "typescript": _TYPESCRIPT_QUERY,
    "tsx": _TYPESCRIPT_QUERY + _JSX_QUERY,
}


@dataclass(frozen=True, slots=True)
class Mention:
    """Another file that a module names, and how; ``*`` in the target is computed at run time."""

    how: How
    target: str
    line: int  # 1-based
    start: int  # byte range of the expression that names it, quotes included
    end: int
    computed: bool = False
    base: int = -1  # where its import.meta.url starts, if it is relative to that
    call: tuple[int, int] = (-1, -1)  # the byte range of import() or import.meta.resolve()
    module: bool = False  # of a worker: it is started as a module for sure


@dataclass(frozen=True, slots=True)
class Location:
    """One ``import.meta.url``; ``base`` if it only serves to build other addresses."""

    start: int
    end: int
    base: bool


@dataclass(frozen=True, slots=True)
class Jsx:
    """The first JSX of a module, and where a comment says that compilers get it from."""

    line: int  # 1-based
    source: str = ""  # of ``@jsxImportSource``, "react" for ``@jsxRuntime automatic``


@dataclass(frozen=True, slots=True)
class Module:
    """What one source file says about itself."""

    dialect: Dialect
    mentions: tuple[Mention, ...]
    exports: Exports
    locations: tuple[Location, ...]
    jsx: Jsx | None = None
    problem: str = ""  # the first thing that is not understood, with its line

    @property
    def is_esm(self) -> bool:
        """Whether this can only be an ES module: it imports, exports or asks where it is."""
        asks = bool(self.locations) or any(m.base >= 0 for m in self.mentions)
        return self.exports.esm or asks


def read(data: bytes) -> Module:
    """Read a module.

    Cost: 6 MB unminified in 0.4 s, 0.8 MB minified in 0.3 s (onnxruntime-web 1.30.0, ort.all).

    >>> module = read(b'import "./a.js"; new URL(`./${x}.wasm`, import.meta.url)')
    >>> [mention.target for mention in module.mentions]
    ['./a.js', './*.wasm']
    """
    dialect, tree = parse(data)
    found = _captures(dialect, tree)
    locations = tuple(_locations(found.get("location", ())))
    exports, jsx = read_exports(tree.root_node), _jsx(found.get("element", ()), data)
    return Module(dialect, mentions_of(found), exports, locations, jsx, first_problem(tree))


def _captures(dialect: Dialect, tree: Tree) -> dict[str, list[Node]]:
    return QueryCursor(query(dialect, MENTIONS[dialect])).captures(tree.root_node)


def mentions_of(captures: Mapping[str, Sequence[Node]]) -> tuple[Mention, ...]:
    """Return what a module mentions, by what ``MENTIONS`` captures in it."""
    mentions = {m.start: m for m in _sums(captures.get("sum", ()))}
    mentions.update((m.start, m) for m in _strings(captures.get("string", ())))
    # what is passed to import() or new URL() is more than a string: it replaces the plain mention
    mentions.update((m.start, m) for m in _addresses(captures.get("new", ())))
    mentions.update((m.start, m) for m in _resolved(captures.get("resolve", ())))
    mentions.update((m.start, m) for m in _calls(captures.get("call", ())))
    mentions.update((m.start, m) for m in _statements(captures.get("import", ()), "import"))
    mentions.update((m.start, m) for m in _statements(captures.get("require", ()), "require"))
    return tuple(_without_pieces(mentions[at] for at in sorted(mentions)))


def _jsx(elements: Sequence[Node], data: bytes) -> Jsx | None:
    if not elements:
        return None
    line = min(node.start_point.row for node in elements) + 1
    said = jsx_comments(comments(data)) if b"@jsx" in data else JsxComments()
    return Jsx(line, said.source)


def comments(data: bytes) -> list[bytes]:
    """Return all comments of a module, in order."""
    dialect, tree = parse(data)
    found = QueryCursor(query(dialect, "(comment) @comment")).captures(tree.root_node)
    nodes = sorted(found.get("comment", ()), key=lambda node: node.start_byte)
    return [data[node.start_byte : node.end_byte] for node in nodes]


_NAMES_QUERY = """
(import_statement
  (import_clause (named_imports (import_specifier name: (identifier) @name)))
  source: (string) @source)
(export_statement (export_clause (export_specifier name: (identifier) @name))
  source: (string) @source)
"""


def imported_names(data: bytes) -> dict[str, set[str]]:
    """Return the names that a module imports, or passes on, by what it imports them from.

    >>> sorted(imported_names(b'import { b, a as c } from "./x.js"')["./x.js"])
    ['a', 'b']
    """
    dialect, tree = parse(data)
    found: dict[str, set[str]] = {}
    for _, captures in QueryCursor(query(dialect, _NAMES_QUERY)).matches(tree.root_node):
        for source in captures["source"]:
            names = {(n.text or b"").decode(errors="replace") for n in captures["name"]}
            found.setdefault(string_value(source), set()).update(names)
    return found


def _without_pieces(mentions: Iterable[Mention]) -> Iterator[Mention]:
    """Leave out strings that are a piece of a name that is mentioned as a whole."""
    covered = 0
    for mention in mentions:
        if mention.how in _GUESSED and mention.end <= covered:
            continue
        if mention.target != UNKNOWN and mention.how != "path":
            covered = max(covered, mention.end)
        yield mention


def _mention(how: How, node: Node, target: str | None = None, *, base: int = -1) -> Mention:
    target = pattern_of(node) if target is None else target
    literal = node.type == "string" or UNKNOWN not in target
    line = node.start_point.row + 1
    return Mention(how, target, line, node.start_byte, node.end_byte, not literal, base)


def _statements(sources: Iterable[Node], how: How) -> Iterator[Mention]:
    for node in sources:
        if node.parent is not None and not is_type_only(node.parent):
            yield _mention(how, node)


def _calls(calls: Iterable[Node]) -> Iterator[Mention]:
    for call in calls:
        callee, arguments = call.child_by_field_name("function"), _arguments(call)
        if callee is None or not arguments:
            continue
        name = (callee.text or b"").decode("utf-8", errors="replace").rpartition(".")[2]
        first = arguments[0]
        if callee.type == "import":
            span = (call.start_byte, call.end_byte)
            yield from (replace(m, call=span) for m in _address_or(first, "import()"))
        elif name == "require" and callee.type == "identifier":
            yield _mention("require", first)
        elif name in _SCRIPTS:
            is_module = name == "addModule"  # a worklet is a module always
            yield from (replace(m, module=is_module) for m in _address_or(first, "worker"))


def _addresses(news: Iterable[Node]) -> Iterator[Mention]:
    for new in sorted(news, key=lambda n: n.start_byte):
        name, arguments = _constructor(new), _arguments(new)
        if not arguments:
            continue
        if name in _WORKERS:
            is_module = len(arguments) > 1 and _says_module(arguments[1])
            yield from (replace(m, module=is_module) for m in _address_or(arguments[0], "worker"))
        elif _is_relative_to_module(new) and not _is_first_argument_of_worker(new):
            yield _mention("url", arguments[0], base=arguments[1].start_byte)


def _resolved(calls: Iterable[Node]) -> Iterator[Mention]:
    """Yield the addresses in ``import.meta.resolve("./x")``: those of packages are no files."""
    for call in calls:
        if _resolved_argument(call) is not None and not _is_first_argument_of_worker(call):
            yield _resolved_mention("url", call)


def _resolved_argument(call: Node) -> Node | None:
    """Return what ``import.meta.resolve()`` is given, where it is relative for sure."""
    function, arguments = call.child_by_field_name("function"), _arguments(call)
    is_resolve = function is not None and (function.text or b"") == b"import.meta.resolve"
    if not is_resolve or len(arguments) != 1:
        return None
    return arguments[0] if pattern_of(arguments[0]).startswith(_RELATIVE) else None


def _resolved_mention(how: How, call: Node) -> Mention:
    found = _mention(how, _arguments(call)[0], base=call.start_byte)
    return replace(found, call=(call.start_byte, call.end_byte))


def _address_or(node: Node, how: How) -> Iterator[Mention]:
    """Yield the script that ``node`` names: the address in a ``new URL(...)``, or the text."""
    inner = _inner_address(node)
    if _resolved_argument(node) is not None:
        if how == "worker":
            yield _resolved_mention("worker url", node)
    elif inner is None:
        yield _mention(how, node)
    elif how == "worker":
        yield _mention("worker url", inner[0], base=inner[1].start_byte)


def _inner_address(node: Node) -> list[Node] | None:
    """Return the arguments of ``new URL(x, import.meta.url)``, also of ``new URL(...).href``."""
    if node.type == "member_expression":
        node = node.child_by_field_name("object") or node
    is_url = node.type == "new_expression" and _constructor(node) == "URL"
    return _arguments(node) if is_url and _is_relative_to_module(node) else None


def _is_first_argument_of_worker(new: Node) -> bool:
    outer = new.parent
    if outer is not None and outer.type == "member_expression":
        new, outer = outer, outer.parent
    call = outer.parent if outer is not None else None
    if outer is None or call is None or outer.type != "arguments":
        return False
    callee = call.child_by_field_name("function")
    script = callee is not None and (callee.text or b"").decode().rpartition(".")[2] in _SCRIPTS
    return (script or _constructor(call) in _WORKERS) and _arguments(call)[0] == new


def _says_module(options: Node) -> bool:
    """Whether the options of a worker are written out and say ``type: "module"``."""
    for pair in options.named_children:
        key, value = pair.child_by_field_name("key"), pair.child_by_field_name("value")
        if key is not None and (key.text or b"").strip(b"'\"") == b"type":
            return value is not None and value.type == "string" and string_value(value) == "module"
    return False


def _is_relative_to_module(new: Node) -> bool:
    arguments = _arguments(new)
    return len(arguments) > 1 and (arguments[1].text or b"") == b"import.meta.url"


def _constructor(new: Node) -> str:
    name = new.child_by_field_name("constructor")
    return (name.text or b"").decode("utf-8", errors="replace") if name is not None else ""


def _arguments(call: Node) -> list[Node]:
    arguments = call.child_by_field_name("arguments")
    named = arguments.named_children if arguments is not None else []
    return [n for n in named if n.type != "comment"]


def _strings(nodes: Iterable[Node]) -> Iterator[Mention]:
    for node in nodes:
        target = string_value(node) if node.type == "string" else pattern_of(node)
        if worth_a_mention(target, computed=node.type != "string"):
            yield _mention("string", node, target)
        elif may_be_path(target, computed=UNKNOWN in target and node.type != "string"):
            yield _mention("path", node, target)
        elif "=" in target:
            yield from _markup(node)


def _sums(nodes: Iterable[Node]) -> Iterator[Mention]:
    """Yield what is put together with ``+`` from a folder that is written out."""
    for node in nodes:
        if node.parent is not None and is_sum(node.parent):
            continue  # a piece
        target = pattern_of(node)
        if may_be_path(target, computed=UNKNOWN in target):
            yield _mention("path", node, target)


def _markup(node: Node) -> Iterator[Mention]:
    """Yield what the elements in a string of HTML load."""
    text = (node.text or b"").decode("utf-8", errors="replace")
    for start, target in named_in_markup(text):
        if may_be_path(target, computed=False):
            line = node.start_point.row + 1 + text.count("\n", 0, start)
            at = node.start_byte + len(text[:start].encode())
            yield Mention("path", target, line, at, at + len(target.encode()))


def _locations(nodes: Iterable[Node]) -> Iterator[Location]:
    for node in sorted(nodes, key=lambda n: n.start_byte):
        if (node.text or b"") == b"import.meta.url":
            yield Location(node.start_byte, node.end_byte, base=_only_base(node))


def _only_base(node: Node) -> bool:
    """Whether an ``import.meta.url`` can only be the base of another address, or is compared."""
    outer = node.parent
    if outer is None:
        return False
    if outer.type == "binary_expression":
        operator = outer.child_by_field_name("operator")
        return operator is not None and operator.type not in {"+", "||", "??", "&&"}
    call = outer.parent if outer.type == "arguments" else None
    return call is not None and _arguments(call)[0] != node


def literals(data: bytes) -> frozenset[str]:
    """Return every piece of text that a script writes down: strings, and templates' fixed parts.

    A name that a script puts together consists of such pieces.

    >>> sorted(literals(b"load('a' + `b${c}d`)"))
    ['a', 'b', 'd']
    """
    dialect, tree = parse(data)
    found = QueryCursor(query(dialect, "(string_fragment) @text")).captures(tree.root_node)
    pieces = ((node.text or b"") for node in found.get("text", ()))
    return frozenset(piece.decode("utf-8", errors="replace") for piece in pieces)
