"""What the text in JavaScript strings says: values of literals, patterns of computed names."""

from __future__ import annotations

import re
from urllib.parse import unquote

from tree_sitter import Node

UNKNOWN = "*"  # stands in a pattern for what is computed at run time
_MOST_CHARACTERS = 300  # ours: longer strings are data, not file names

# What voice applications read by name: models and their data, scripts for workers and worklets
_ENDINGS = frozenset(
    "wasm onnx ort gguf tflite bin data mjs js cjs json txt wav zst gz bz2".split(" ")  # noqa: SIM905 - reads better than fifteen quoted words
)
_NEVER = frozenset({"package.json", "Node.js", "node.js"})

# As pages write them: from the root of the site, beside something, or below a folder
_STARTS = ("/", "./", "../")
_MARKUP = re.compile(r"""\b(?:src|href)=\\?["']([^"'\\\s<>$]+)""")

_BLOCKS = frozenset({"statement_block", "program"})
_FUNCTIONS = frozenset(
    {"arrow_function", "function_expression", "function_declaration", "method_definition"}
    | {"generator_function", "generator_function_declaration"}
)

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


def string_value(node: Node) -> str:
    """Return the value of a ``string`` node, escapes resolved."""
    return "".join(_piece(child) for child in node.named_children)


def _piece(node: Node) -> str:
    text = (node.text or b"").decode("utf-8", errors="replace")
    if node.type != "escape_sequence":
        return text
    code = text[1:]
    if code[:1] in {"u", "x"}:
        try:
            return chr(int(code[1:].strip("{}"), 16))
        except (ValueError, OverflowError):
            return text
    return _ESCAPES.get(code, code)


def pattern_of(node: Node) -> str:
    """Return what is known of the text that an expression gives, ``*`` for each unknown piece.

    Strings, templates, both joined with ``+``, and names that the blocks around declare as
    ``const`` are looked into; anything else is unknown.
    """
    text = _pattern(node)
    while UNKNOWN * 2 in text:
        text = text.replace(UNKNOWN * 2, UNKNOWN)
    return text


def _pattern(node: Node) -> str:
    if node.type == "string":
        return string_value(node)
    if node.type == "template_string":
        return "".join(
            UNKNOWN if child.type == "template_substitution" else _piece(child)
            for child in node.named_children
        )
    if node.type == "parenthesized_expression" and node.named_child_count == 1:
        return _pattern(node.named_children[0])
    if node.type == "identifier":
        value = _constant(node)
        return _pattern(value) if value is not None else UNKNOWN
    pieces: list[str] = []
    sum_of: Node | None = node
    while sum_of is not None and is_sum(sum_of):  # a loop: minified code has sums of thousands
        right = sum_of.child_by_field_name("right")
        pieces.append(_pattern(right) if right is not None else UNKNOWN)
        sum_of = sum_of.child_by_field_name("left")
    if not pieces or sum_of is None:
        return UNKNOWN
    return "".join([_pattern(sum_of), *reversed(pieces)])


def is_sum(node: Node) -> bool:
    """Whether an expression is ``a + b``."""
    operator = node.child_by_field_name("operator")
    return node.type == "binary_expression" and operator is not None and operator.type == "+"


def _constant(node: Node) -> Node | None:
    """Return the value of the nearest ``const`` of a name; None for any other sort of name."""
    around = node.parent
    while around is not None:
        if around.type in _FUNCTIONS and node.text in _parameter_names(around):
            return None
        if around.type in _BLOCKS:
            for statement in around.named_children:
                for declared in _declarators(statement):
                    if declared.child_by_field_name("name") == node:
                        return None
                    name = declared.child_by_field_name("name")
                    if name is not None and name.text == node.text:
                        is_before = declared.end_byte <= node.start_byte
                        constant = statement.children[0].type == "const" and is_before
                        return declared.child_by_field_name("value") if constant else None
        around = around.parent
    return None


def _declarators(statement: Node) -> list[Node]:
    if statement.type not in {"lexical_declaration", "variable_declaration"}:
        return []
    return [c for c in statement.named_children if c.type == "variable_declarator"]


def _parameter_names(function: Node) -> set[bytes | None]:
    """Return the text of every name among the parameters: more than are declared, if anything."""
    parameters = function.child_by_field_name("parameters")
    single = function.child_by_field_name("parameter")
    todo = [n for n in (parameters, single) if n is not None]
    found: set[bytes | None] = set()
    while todo:
        node = todo.pop()
        found.add(node.text)
        todo += node.named_children
    return found


def worth_a_mention(text: str, *, computed: bool) -> bool:
    """Whether ``text`` looks like the name of a file that a voice application may read.

    >>> worth_a_mention("a/vad.onnx", computed=False), worth_a_mention("e.g. .onnx", computed=False)
    (True, False)
    >>> worth_a_mention("*-simd*.wasm", computed=True), worth_a_mention("*.wasm", computed=True)
    (True, False)
    """
    if any(c.isspace() for c in text) or not _may_be_address(text):
        return False
    path = without_query(text)
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or name in _NEVER:
        return False
    # an ending alone says nothing: `${name}.js` may be any file, or none
    return ending.lower() in _ENDINGS and (not computed or bool(stem.strip(UNKNOWN)))


def may_be_path(text: str, *, computed: bool) -> bool:
    """Whether ``text`` may be the path of any file: only what files there are can tell.

    >>> may_be_path("beep.mp3", computed=False), may_be_path("/vocabulary", computed=False)
    (True, True)
    >>> may_be_path("one two.mp3", computed=False), may_be_path("n/a", computed=False)
    (False, False)
    >>> may_be_path("/voices/*.json", computed=True), may_be_path("*/a.json", computed=True)
    (True, False)
    """
    if not _may_be_address(text):
        return False
    path = without_query(text)
    folder, _, name = path.rpartition("/")
    is_anchored = path.startswith(_STARTS)
    if not name.strip(".") or name in _NEVER:
        return False
    if computed:  # the folder says which files are meant
        fixed = folder.partition(UNKNOWN)[0].rpartition("/")[0] if UNKNOWN in folder else folder
        return is_anchored and bool(fixed.strip("./")) and "." in name
    stem, _, ending = name.rpartition(".")
    has_ending = bool(stem) and ending.isalnum()
    return is_anchored or (has_ending and not any(c.isspace() for c in path))


def _may_be_address(text: str) -> bool:
    return len(text) <= _MOST_CHARACTERS and "://" not in text and not text.startswith("//")


def named_in_markup(text: str) -> list[tuple[int, str]]:
    """Return what ``src`` and ``href`` in HTML say, with the place of each in ``text``.

    >>> named_in_markup('<img src="/a.png"><a href="b">')
    [(10, '/a.png'), (27, 'b')]
    """
    return [(found.start(1), found[1]) for found in _MARKUP.finditer(text)]


def without_query(text: str) -> str:
    """Return an address without ``?query`` and ``#fragment``."""
    return text.partition("?")[0].partition("#")[0]


def path_in(address: str) -> str:
    """Return the path that an address stands for: percent-encoding means characters.

    >>> path_in("./a%20b.txt?v=1")
    './a b.txt'
    """
    return unquote(without_query(address))
