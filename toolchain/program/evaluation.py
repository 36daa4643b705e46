"""Follows what evaluating an item does, without doing it: calls are entered, whatever they call.

Both branches of a condition are followed, loops until nothing new is seen, and a name may have any
value that was ever given to it. So an effect is found wherever it may happen, and "nothing
happens" is a claim about every run. What is assumed, as all bundlers do: reading a member of
something unknown runs no code, nothing is thrown by reading or by arithmetic, and code ends. A
statement that is nothing but a read, though, was written for what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from toolchain.formats.javascript_tree import Node, text_of
from toolchain.program import builtins
from toolchain.program.effects import Effect, Place
from toolchain.program.program import Found, ModuleId
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Builtin,
    Given,
    Namespace,
    Primitive,
    Scope,
    Text,
    Thing,
    Unknown,
    Value,
    joined,
)

_MANY_STEPS = 40  # ours: of one item that is kept in any case
_MOST_STEPS = 4_000  # ours: nodes followed for one item; esbuild's decorators take about 1,500


class World(Protocol):
    """What an evaluation asks about the rest of the program."""

    def value(self, module: ModuleId, name: str, places: set[Place]) -> Value | None:
        """Return what a name at the top of a module may be; None if it is global.

        What that depends on is added to ``places``.
        """
        ...

    def exported(self, module: ModuleId, name: str, places: set[Place]) -> Value:
        """Return what an export of a module may be."""
        ...

    def meaning(self, module: ModuleId, name: str) -> Found | None:
        """Return which declaration a name at the top of a module is; None if it is not ours."""
        ...

    def is_steady(self, place: Place, module: ModuleId) -> bool:
        """Whether nothing else is ever stored at a place before ``module`` has run."""
        ...

    def is_variable(self, module: ModuleId, name: str) -> bool:
        """Whether a name at the top of a module has other values than the first."""
        ...


class Settled(Exception):  # noqa: N818 - never seen outside
    """What happens is in doubt, and nobody needs to know more."""


class Endless(Exception):  # noqa: N818 - never seen outside
    """There are too many steps to follow."""


@dataclass(eq=False, slots=True)
class ModuleScope(Scope):
    """The top of a module: its names are the world's to tell."""

    module: ModuleId = ""


@dataclass(eq=False)
class Frame:
    """A call that is being followed."""

    function: Thing
    given: Given
    this: Value
    returned: Value = ()


@dataclass(eq=False)
class Evaluation:
    """One item, or the value of one name, being followed."""

    language: Language
    world: World
    module: ModuleId
    owner: Found | None = None  # what new things belong to
    changes: set[Found] = field(default_factory=set)
    stores: set[Place] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)
    proved: str = ""
    unknown: str = ""
    sees: bool = False
    steps: int = 0
    given_up: int = 0  # steps into calls that do nothing, as their authors say
    put_there: set[tuple[str | None, str, object]] = field(default_factory=set)  # what was, where
    tries: int = 0  # blocks around that catch what is thrown
    maybe: int = 0  # conditions, loops and the like around: what is here may not happen
    calls: list[Frame] = field(default_factory=list)
    escaped: dict[Thing, Value] = field(default_factory=dict)  # others have it; what `this` is
    handed: set[Found] = field(default_factory=set)  # whose things others have
    lost: bool = False  # others have something that is not known
    is_later: bool = False  # what has escaped is followed: that it acts is nothing new
    inside: set[str | None] = field(default_factory=set)  # members of new things changed by that
    is_hasty: bool = False  # what is in doubt is not followed much further

    def effect(self) -> Effect:
        """Return what was found so far."""
        return Effect(frozenset(self.changes), self.proved, self.unknown, self.sees)

    # what is noticed:

    def doubt(self, why: str, node: Node | None = None) -> None:
        """Note that nothing is known about what happens."""
        if not self.unknown:
            where = f" at line {node.start_point.row + 1}" if node is not None else ""
            self.unknown = f"{why}{where}"

    def act(self, what: str, node: Node) -> None:
        """Note that something happens: certainly, or as the module itself decides."""
        if self.is_later:
            return
        if self.maybe and self.calls:
            self.doubt(f"under a condition {what}", node)
        elif not self.proved:
            self.proved = f"{what} at line {node.start_point.row + 1}"

    def change(self, value: Value, key: str | None, node: Node) -> None:
        """Note that a member of what ``value`` may be is changed; None: some member."""
        for one in value:
            if isinstance(one, Thing):
                self.touch(one, key)
            elif isinstance(one, Builtin) and one.path.partition(".")[0] in builtins.GLOBALS:
                self.act(f"changes {one.path}", node)
            elif isinstance(one, Builtin | Unknown | Namespace):
                self.doubt("changes something unknown", node)

    def give(self, owner: Value, value: Value) -> None:
        """Note that ``value`` is put into what ``owner`` may be; into things it does not escape."""
        if any(isinstance(one, Builtin | Unknown | Namespace) for one in owner):
            self.escape(value)

    def escape(self, value: Value, this: Value = (), *, is_read: bool = False) -> None:
        """Note that somebody else is given ``value``, and may call what is in it, or change it.

        Who only reads it changes nothing.
        """
        for one in value:
            if isinstance(one, Thing):
                self.escaped.setdefault(one, this)
                if one.owner is not None:
                    self.places.add((one.owner, None))  # what is put there later escapes, too
                    self.handed |= set() if is_read else {one.owner}
                elif one.maker is self and one.node is None and not is_read:
                    self.inside.add(None)
            elif isinstance(one, Unknown | Namespace) and not is_read:
                self.lost = True

    def touch(self, one: Thing | Scope, key: str | None) -> None:
        """Note that a thing, or a variable of a scope, is changed; new ones nobody knows yet."""
        if isinstance(one, Thing) and one.kind == "collection":
            self._touch_shared(one, key)
        if one.maker is self and not self.is_later:
            return
        if one.owner is not None:
            self.changes.add(one.owner)
            self.stores.add((one.owner, key))
        elif one.maker is self:
            self.inside.add(key)
        else:
            self.doubt("changes something of somebody else")

    def _touch_shared(self, view: Thing, key: str | None) -> None:
        """Note a change of what shares its contents with ``view``, as a buffer does."""
        for one in view.base:
            if isinstance(one, Thing):
                self.touch(one, key)
            elif isinstance(one, Builtin | Unknown | Namespace):
                self.doubt("changes what something unknown may share")

    def is_all(self, one: Thing | Scope, key: str | None) -> bool:
        """Whether a member of a thing, or a variable, has no values but those that it has now."""
        if one.maker is self:
            return True
        if one.owner is not None:
            place = one.owner, key
            self.places.add(place)
            # what runs later runs after everybody
            if self.world.is_steady(place, "" if self.is_later else self.module):
                return True
        self.sees = True
        return False

    def grown(self, before: Value, value: Value, where: str | None) -> Value:
        """Return ``before`` with ``value`` as further alternatives of the member ``where``."""
        for one in value:
            if isinstance(one, Thing):
                self.put_there.add((where, one.kind, one.node))
            elif not isinstance(one, Primitive | Text):
                self.put_there.add((where, "", one))
        return joined(before, value)

    # what is made:

    def thing(self, kind: str, **about: object) -> Thing:
        """Return a new thing of this evaluation."""
        return Thing(kind, self, self.owner, **about)  # type: ignore[arg-type]

    def scope(self, outer: Scope | None, *, is_block: bool = False) -> Scope:
        """Return a new scope of this evaluation."""
        return Scope(outer, self, self.owner, is_block=is_block)

    # what is followed:

    def step(self) -> None:
        """Count a node.

        Errors:
            Endless: there were too many.
            Settled: there were many, and nobody needs to know more.
        """
        self.steps += 1
        if self.is_hasty and self.unknown and self.steps > _MANY_STEPS:
            raise Settled
        if self.steps > _MOST_STEPS:
            raise Endless

    def value(self, node: Node | None, scope: Scope) -> Value:
        """Follow an expression and return what it may give."""
        if node is None:
            return PRIMITIVE
        self.step()
        follow = self.language.expressions.get(node.type)
        if follow is not None:
            return follow(self, node, scope)
        self.doubt(f"{node.type} is not followed", node)
        return UNKNOWN

    def statement(self, node: Node, scope: Scope) -> None:
        """Follow one statement."""
        self.step()
        follow = self.language.statements.get(node.type)
        if follow is not None:
            follow(self, node, scope)
        else:
            self.doubt(f"{node.type} is not followed", node)

    def call(self, function: Value, given: Given, this: Value, node: Node) -> Value:
        """Call what ``function`` may be, with what is given to it."""
        return self.language.call(self, function, given, this, node)

    def named(self, name: str, scope: Scope, node: Node) -> Value:
        """Return what a name may be where ``scope`` is."""
        around: Scope | None = scope
        while around is not None:
            if name in around.names:
                value = around.names[name]
                return value if self.is_all(around, f"let {name}") else joined(value, UNKNOWN)
            around = around.outer
        home = home_of(scope) or self.module
        found = self.world.value(home, name, self.places)
        if found is not None:
            self.sees = self.sees or self.world.is_variable(home, name)
            return found
        if name in builtins.GLOBALS:
            return PRIMITIVE if name == "undefined" else (Builtin(name),)
        self.doubt(f"reads {name}, which nobody declares", node)
        return UNKNOWN


Expressions = Mapping[str, Callable[[Evaluation, Node, Scope], Value]]  # by the type of the node
Statements = Mapping[str, Callable[[Evaluation, Node, Scope], None]]


@dataclass(frozen=True)
class Language:
    """How each sort of syntax is followed, and how something is called."""

    expressions: Expressions
    statements: Statements
    call: Callable[[Evaluation, Value, Given, Value, Node], Value]


def home_of(scope: Scope) -> ModuleId:
    """Return the module whose code ``scope`` is of; "" if it is of none."""
    around: Scope | None = scope
    while around is not None:
        if isinstance(around, ModuleScope):
            return around.module
        around = around.outer
    return ""


def short(node: Node) -> str:
    """Return the start of what a node says, on one line."""
    return " ".join(text_of(node).split())[:40]
