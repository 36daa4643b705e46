"""What the text in JavaScript strings says: values of literals, patterns of computed names."""

from __future__ import annotations

from tree_sitter import Node

UNKNOWN = "*"  # stands in a pattern for what is computed at run time
_MOST_CHARACTERS = 300  # ours: longer strings are data, not file names

# What voice applications read by name: models and their data, scripts for workers and worklets
_ENDINGS = frozenset(
    "wasm onnx ort gguf tflite bin data mjs js cjs json txt wav zst gz bz2".split(" ")  # noqa: SIM905 - reads better than fifteen quoted words
)
_NEVER = frozenset({"package.json", "Node.js", "node.js"})

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

    Strings, templates, and both joined with ``+`` are looked into; anything else is unknown.
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
    operator = node.child_by_field_name("operator")
    if node.type == "binary_expression" and operator is not None and operator.type == "+":
        sides = (node.child_by_field_name("left"), node.child_by_field_name("right"))
        return "".join(_pattern(side) if side is not None else UNKNOWN for side in sides)
    return UNKNOWN


def worth_a_mention(text: str, *, computed: bool) -> bool:
    """Whether ``text`` looks like the name of a file that a voice application may read.

    >>> worth_a_mention("a/vad.onnx", computed=False), worth_a_mention("e.g. .onnx", computed=False)
    (True, False)
    >>> worth_a_mention("*-simd*.wasm", computed=True), worth_a_mention("*.wasm", computed=True)
    (True, False)
    """
    if len(text) > _MOST_CHARACTERS or "://" in text or any(c.isspace() for c in text):
        return False
    path = without_query(text)
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or name in _NEVER:
        return False
    # an ending alone says nothing: `${name}.js` may be any file, or none
    return ending.lower() in _ENDINGS and (not computed or bool(stem.strip(UNKNOWN)))


def without_query(text: str) -> str:
    """Return an address without ``?query`` and ``#fragment``."""
    return text.partition("?")[0].partition("#")[0]
