"""What an expression may give, as far as its effects depend on it.

A ``Value`` is a tuple of alternatives. Objects are changed in place and never forget: what was
once put into one may be read from it ever after, so the order of statements does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from toolchain.formats.javascript_tree import Node
from toolchain.program.program import Found, ModuleId

_MOST = 12  # ours: more alternatives than this are "anything"


@dataclass(frozen=True, slots=True)
class Primitive:
    """A number, boolean, undefined, null, symbol, or a string that is not known."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string that is known."""

    value: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything."""


@dataclass(frozen=True, slots=True)
class Builtin:
    """What the language and its platforms provide, by its path: ``Object.freeze``."""

    path: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """All exports of a module, as an object."""

    module: ModuleId


@dataclass(eq=False, slots=True, repr=False)
class Scope:
    """The variables of one call, or of a block in it."""

    outer: Scope | None
    maker: object  # the evaluation that made it
    owner: Found | None = None
    names: dict[str, Value] = field(default_factory=dict)
    is_block: bool = False  # `var` declares in the next scope that is none


@dataclass(eq=False, slots=True, repr=False)
class Thing:
    """An object, array, function or class."""

    # object, array, instance, function, class, prototype, collection, bound, proxy, iterator, or
    # pattern: a regular expression that does not keep where it was
    kind: str
    maker: object
    owner: Found | None = None  # the name at the top of a module that holds it
    members: dict[str, Value] = field(default_factory=dict)
    getters: dict[str, Value] = field(default_factory=dict)
    setters: dict[str, Value] = field(default_factory=dict)
    others: Value = ()  # elements, and what was stored under computed names
    node: Node | None = None  # of functions and classes
    module: ModuleId = ""
    scope: Scope | None = None
    this: Value = ()  # arrow functions and bound ones keep it
    # what a class extends, the class of an instance, what is bound, the generator function of an
    # iterator, and of a collection what shares its contents: the buffer of a view
    base: Value = ()
    given: Given | None = None  # what a bound or generator function was given
    is_open: bool = False  # it may have members that are not known


Alternative = Primitive | Text | Unknown | Builtin | Namespace | Thing
Value = tuple[Alternative, ...]

PRIMITIVE: Value = (Primitive(),)
UNKNOWN: Value = (Unknown(),)


@dataclass(frozen=True, slots=True)
class Given:
    """What a call is given: first these, then any number of ``more``, where something is spread."""

    values: tuple[Value, ...] = ()
    more: Value = ()

    def at(self, number: int) -> Value:
        """Return what a parameter may be."""
        if number < len(self.values):
            return self.values[number]
        return joined(self.more, PRIMITIVE)

    def rest(self, number: int) -> Given:
        """Return all but the first."""
        return Given(self.values[number:], self.more)

    def after(self, given: Given) -> Given:
        """Return this, behind what was given before."""
        if given.more:
            return Given(given.values, joined(given.more, self.everything))
        return Given((*given.values, *self.values), self.more)

    @property
    def everything(self) -> Value:
        """Whatever is given."""
        return joined(*self.values, self.more)


ANYTHING = Given((), UNKNOWN)


def adopt(value: Value, holder: Thing | Scope) -> None:
    """Let what is put into a thing that a name holds belong to that name, if it is nobody's."""
    if holder.owner is None:
        return
    todo: list[Thing | Scope] = [one for one in value if isinstance(one, Thing)]
    while todo:
        one = todo.pop()
        if one.owner is not None:
            continue
        one.owner = holder.owner
        if isinstance(one, Thing):
            held = (one.others, *one.members.values(), one.this, one.base)
            todo += [t for v in held for t in v if isinstance(t, Thing)]
            todo += [one.scope] if one.scope is not None else []
        elif one.outer is not None:
            todo.append(one.outer)


def joined(*values: Value) -> Value:
    """Return a value that may be any of ``values``."""
    if len(values) == 1:
        return values[0]
    first: Value = ()
    for value in values:  # most often all that are not empty are the same
        if value and value is not first:
            if first:
                return _united(values)
            first = value
    return first if len(first) <= 1 else _united((first,))


def is_cut(value: Value) -> bool:
    """Whether a value had too many alternatives for all to be kept."""
    return len(value) > _MOST and any(isinstance(one, Unknown) for one in value)


def _united(values: Iterable[Value]) -> Value:
    seen: dict[Alternative, None] = {}
    for value in values:
        for one in value:
            seen[one] = None
    if len(seen) > _MOST:
        return (*[one for one in seen if isinstance(one, Thing)][:_MOST], Unknown())
    return tuple(seen)
