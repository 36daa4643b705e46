"""What an expression may give, as far as its effects depend on it.

A ``Value`` is a tuple of alternatives. Objects are changed in place and never forget: what was
once put into one may be read from it ever after, so the order of statements does not matter.
"""

from __future__ import annotations

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


@dataclass(eq=False, slots=True, repr=False)
class Thing:
    """An object, array, function or class."""

    kind: str  # object, array, instance, function, class, prototype, collection
    maker: object
    owner: Found | None = None  # the name at the top of a module that holds it
    members: dict[str, Value] = field(default_factory=dict)
    getters: dict[str, Value] = field(default_factory=dict)
    setters: dict[str, Value] = field(default_factory=dict)
    others: Value = ()  # elements, and what was stored under computed names
    node: Node | None = None  # of functions and classes
    module: ModuleId = ""
    scope: Scope | None = None
    this: Value = ()  # arrow functions keep it
    base: Value = ()  # what a class extends, or the class of an instance
    is_open: bool = False  # it may have members that are not known


Alternative = Primitive | Text | Unknown | Builtin | Namespace | Thing
Value = tuple[Alternative, ...]

PRIMITIVE: Value = (Primitive(),)
UNKNOWN: Value = (Unknown(),)


def joined(*values: Value) -> Value:
    """Return a value that may be any of ``values``."""
    seen: dict[Alternative, None] = {}
    for value in values:
        for one in value:
            seen[one] = None
    if len(seen) > _MOST:
        return (*[one for one in seen if isinstance(one, Thing)][:_MOST], Unknown())
    return tuple(seen)
