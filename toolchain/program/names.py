"""Finds which names the pieces of a module use, declare and assign, by the rules of scope.

A reference belongs to the innermost scope that declares its name, wherever in that scope the
declaration stands. What no scope of the piece declares is free: a name of the module, or global.

One query (name_query.py) finds all names and scopes of a module; what follows is arithmetic on
byte offsets, since asking for nodes one by one takes several times as long as parsing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from sys import intern

from toolchain.formats.javascript_tree import Captures, Node, string_value, text_of
from toolchain.program.loads import load_of
from toolchain.program.module import JSX, NOTHING, WHOLE, Load, Uses
from toolchain.program.patterns import PATTERNS, parts
from toolchain.program.scopes import OWN, Scope, left

_WRAPPED = frozenset({"parenthesized_expression", "non_null_expression", "as_expression"})
_NAMES = frozenset({"identifier", "shorthand_property_identifier_pattern"})
_FACTORIES = (JSX, "React", "h", "Fragment")  # compilers call one of them if told nothing
_WHOLE = frozenset({WHOLE})
_NO_USES: Uses = {}  # one for all: most items of a program are small

# What a name is where it stands; a name without any is read there
_LET, _VAR, _WRITE, _NONE, _JSX, _FUNCTION = range(6)

_FUNCTIONS = ("function", "arrow", "method")
_NEVER = (1 << 62, 0, "")  # after all scopes


@dataclass(frozen=True, slots=True)
class Piece:
    """The names of a piece of a module; ``uses`` and ``writes`` are those it does not declare."""

    declares: tuple[str, ...]  # in order
    uses: Uses
    writes: frozenset[str]
    loads: tuple[Load, ...]


class Names:
    """The names in one module, by what ``QUERIES`` captures in it."""

    def __init__(
        self,
        data: bytes,
        found: Captures,
        *,
        is_esm: bool = True,
        jsx_calls: Iterable[str] = (),
    ) -> None:
        self._is_esm = is_esm
        self._factories = (*_FACTORIES, *jsx_calls)
        self._text: str | bytes = data.decode("ascii") if data.isascii() else data
        self._ends: dict[int, int] = {n.start_byte: n.end_byte for n in found.get("name", ())}
        self._marks: dict[int, int] = {}
        self._members: dict[int, str] = {}
        self.set_members: set[str] = set()  # every p of an assignment to x.p
        self._find_declared(found)
        self._find_assigned(found)
        self._find_members(found)
        self._find_markup(found)
        self._starts = sorted(self._ends)
        self._names = self._all_names()
        self._scopes = [*sorted(_scopes(found)), _NEVER]
        self._loads = self._find_loads(found)

    def piece(self, start: int, end: int) -> Piece:
        """Return the names of the syntax in a range of bytes."""
        root = Scope(end, "open", None)
        declares = self._walk(root, start, end)
        root.resolve()
        uses = {intern(name): _WHOLE for name in sorted(root.names)}
        for name in sorted(root.members):
            members = frozenset(map(intern, root.members[name]))
            uses[intern(name)] = members | uses.get(name, frozenset())
        return Piece(
            tuple(declares),
            uses or _NO_USES,
            frozenset(root.writes) or NOTHING,
            tuple([load for load in self._loads if start <= load.start < end]),
        )

    # where names stand

    def _at(self, start: int) -> str:
        text = self._text[start : self._ends[start]]
        return text if isinstance(text, str) else text.decode("utf-8", errors="replace")

    def _all_names(self) -> list[str]:
        text, ends = self._text, self._ends
        if isinstance(text, str):
            return [text[start : ends[start]] for start in self._starts]
        return [self._at(start) for start in self._starts]

    def _mark(self, node: Node, mark: int) -> None:
        self._ends[node.start_byte] = node.end_byte
        self._marks[node.start_byte] = mark

    def _find_declared(self, found: Captures) -> None:
        for capture, mark in (("let", _LET), ("var", _VAR), ("named", _FUNCTION)):
            for node in found.get(capture, ()):
                self._declare(node, mark)
        for body in found.get("enum", ()):
            for member in body.named_children:
                is_assigned = member.type == "enum_assignment"
                key = member.child_by_field_name("name") if is_assigned else member
                if key is not None and key.type != "comment":
                    self._mark(key, _LET)
        for node in found.get("namespace", ()):
            for inner in (node, *node.named_children):
                self._mark(inner, _NONE)
            first = text_of(node).partition(".")[0]
            self._ends[node.start_byte] = node.start_byte + len(first.encode())
            self._marks[node.start_byte] = _LET

    def _declare(self, pattern: Node, mark: int) -> None:
        """Declare the names of a pattern; the expressions in it are as any others."""
        kind = pattern.type
        if kind in _NAMES or kind == "type_identifier":
            self._mark(pattern, mark)
        elif kind != "comment":
            for part, is_target in parts(pattern):
                if is_target:
                    self._declare(part, mark)

    def _find_assigned(self, found: Captures) -> None:
        for node in found.get("target", ()):
            self._assign(node)
        for loop in found.get("for", ()):
            kind, left = loop.child_by_field_name("kind"), loop.child_by_field_name("left")
            if left is not None and kind is None:
                self._assign(left)
            elif left is not None and kind is not None:
                self._declare(left, _VAR if kind.type == "var" else _LET)

    def _assign(self, node: Node) -> None:
        """Note what is assigned to."""
        kind = node.type
        if kind in _NAMES:
            self._mark(node, _WRITE)
        elif kind in PATTERNS:
            for part, is_target in parts(node):
                if is_target:
                    self._assign(part)
        elif kind in _WRAPPED:
            self._assign(node.named_children[0])
        else:
            if kind == "member_expression":
                self.set_members.add(text_of(node.child_by_field_name("property")))
            index = node.child_by_field_name("index")
            if index is not None and index.type == "string":
                self.set_members.add(string_value(index))

    def _find_members(self, found: Captures) -> None:
        """Note which member of a name is meant: owners and members stand in the same order."""
        for owner, member in _pairs(found, "owner", "member"):
            self._members[owner.start_byte] = text_of(member)
        for owner, index in _pairs(found, "indexed", "index"):
            self._members[owner.start_byte] = string_value(index)

    def _find_markup(self, found: Captures) -> None:
        for node in found.get("jsx", ()):
            self._mark(node, _JSX)
        for node in found.get("tag", ()):
            if self._at(node.start_byte)[:1].islower():  # <div> is a tag, <Panel> a value
                self._mark(node, _NONE)
        for node in found.get("drop", ()):  # TypeScript's helpers: `this && this.x`
            self._mark(node, _NONE)

    def _find_loads(self, found: Captures) -> list[Load]:
        calls = list(found.get("load", ()))
        name = "require" if isinstance(self._text, str) else b"require"
        if name in self._text:  # type: ignore[operator]  # both are text, or both bytes
            named = (n for n in found.get("name", ()) if self._at(n.start_byte) == "require")
            calls += [n.parent for n in named if n.parent is not None and _is_callee(n)]
        types = [(n.start_byte, n.end_byte) for n in found.get("quiet", ())] if calls else []
        loads = [
            load_of(call)
            for call in calls
            if not any(start <= call.start_byte < end for start, end in types)
        ]
        return sorted((load for load in loads if load is not None), key=lambda load: load.start)

    # whose they are

    def _walk(self, root: Scope, start: int, end: int) -> list[str]:
        """Put all names of a range where they belong; return what is declared in ``root``."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        number = bisect_left(self._scopes, (start,))
        begin, minus_end, kind = self._scopes[number]
        stack, top = [root], root
        declares: list[str] = []
        marks, members = self._marks, self._members
        for at, name in zip(self._starts[first:last], self._names[first:last], strict=True):
            while begin <= at:
                top = left(stack, begin)
                top = Scope(-minus_end, kind, top)
                stack.append(top)
                number += 1
                begin, minus_end, kind = self._scopes[number]
            if top.end <= at:
                top = left(stack, at)
            if at in marks:
                declares += self._place(name, marks[at], top, root)
            elif at in members:
                top.use(name, members[at])
            else:
                top.names.add(name)
        left(stack, end, whole=True)
        return declares

    def _place(self, name: str, mark: int, scope: Scope, root: Scope) -> tuple[str, ...]:
        """Put a name that is not only read where it belongs; return it if ``root`` declares it."""
        if mark == _WRITE:
            scope.names.add(name)
            scope.writes.add(name)
        elif mark == _JSX:
            scope.names.update(self._factories)
        elif mark != _NONE:
            owner = scope.function or scope if mark == _VAR else scope
            owner.declared.add(name)
            if mark == _FUNCTION and scope.function is root and not self._is_esm:
                # Annex B.3.2: scripts declare it around the block, too. Inside of functions it
                # is no harm to take it for a name of the module: in strict mode it is one.
                owner = root
                root.declared.add(name)
            if owner is root:
                return (intern(name),)
        return ()


def _scopes(found: Captures) -> Iterator[tuple[int, int, str]]:
    """Yield all scopes: start, end (negative: of two that start together the outer is first)."""
    bodies = {node.start_byte for node in found.get("body", ())}
    for kind in OWN:
        for node in found.get(kind, ()):
            start = node.start_byte
            if kind == "block" and start in bodies:
                continue  # it is there as one already
            if kind in _FUNCTIONS:  # name, decorators and computed keys are of the scope around
                for field in ("parameters", "parameter"):
                    given = node.child_by_field_name(field)
                    if given is not None:
                        start = given.start_byte
            yield start, -node.end_byte, kind


def _pairs(found: Captures, one: str, other: str) -> Iterable[tuple[Node, Node]]:
    def in_order(name: str) -> list[Node]:
        return sorted(found.get(name, ()), key=attrgetter("start_byte"))

    return zip(in_order(one), in_order(other), strict=True)


def _is_callee(name: Node) -> bool:
    call = name.parent
    is_call = call is not None and call.type == "call_expression"
    return is_call and call is not None and call.child_by_field_name("function") == name
