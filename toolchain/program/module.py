"""What one module says, as values: its items, imports and exports, and who uses which name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from toolchain.formats.jsx_comments import JsxComments

WHOLE = ""  # among the members of a name that are used: the name as a value, so any member
NAMESPACE = "*"  # what `import * as n` imports
AWAIT = "await"  # among the names that an item uses: it waits, and others run meanwhile
JSX = "<>"  # among the names that an item uses: compilers put in what they call there
DEFAULT = "*default*"  # the local name of `export default` without a name; no code can say it
NOTHING: frozenset[str] = frozenset()  # one for all: an empty set takes 216 bytes

Uses = Mapping[str, frozenset[str]]
ItemKind = Literal["function", "class", "variable", "enum", "statement"]
Form = Literal["module", "commonjs", "script"]


@dataclass(frozen=True, slots=True)
class Load:
    """One ``import()`` or ``require`` of a module whose name is known."""

    source: str
    start: int
    how: Literal["import()", "require"]
    members: frozenset[str] | None  # None: any; also where ``via`` says more
    via: str = ""  # the name at the top of the module that holds what was loaded


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a module that stays or goes as one: a statement, or one of several declarators.

    ``uses`` and ``writes`` hold names that the item does not declare inside of itself: of this
    module, or global. Offsets are bytes.
    """

    kind: ItemKind
    start: int
    end: int
    declares: tuple[str, ...]
    uses: Uses
    writes: frozenset[str] = NOTHING  # those of ``uses`` that it assigns to, anywhere inside
    loads: tuple[Load, ...] = ()
    gives: tuple[str, ...] = ()  # CommonJS: the members of ``exports`` that it sets, and only that
    sets: tuple[str, ...] = ()  # names whose value, or a member of it, a statement is there to set
    asks: tuple[str, ...] = ()  # names that a statement `f(a)` calls, and gives to what it calls
    of: tuple[int, int] = (0, 0)  # the statement that it is a part of
    inert: bool = False  # it gives a name to literals and functions: nothing can happen there


@dataclass(frozen=True, slots=True)
class Clause:
    """An import or export statement that names others: what is left of it is written anew."""

    start: int
    end: int
    source: str = ""  # "" for `export { a, b }`
    tail: str = ""  # import attributes, as written


@dataclass(frozen=True, slots=True)
class Import:
    """One name that an import statement brings; ``imported`` may be ``*`` or ``default``."""

    local: str
    source: str
    imported: str
    clause: int
    text: str  # as written, without the braces


@dataclass(frozen=True, slots=True)
class Export:
    """One name that a module exports: a ``local`` one, or ``imported`` from ``source``."""

    name: str
    local: str = ""
    source: str = ""
    imported: str = ""
    clause: int = -1  # -1: it stands at its declaration
    text: str = ""


@dataclass(frozen=True, slots=True)
class Star:
    """``export * from source``."""

    source: str
    clause: int


@dataclass(frozen=True, slots=True)
class ModuleText:
    """All of one module. ``problem``: why nothing is claimed about it."""

    form: Form
    items: tuple[Item, ...] = ()
    clauses: tuple[Clause, ...] = ()
    imports: tuple[Import, ...] = ()
    exports: tuple[Export, ...] = ()
    stars: tuple[Star, ...] = ()
    set_members: frozenset[str] = NOTHING  # every p of an assignment to x.p
    problem: str = ""
    markup: JsxComments | None = None  # None: there is no JSX, or nothing is known

    def sources(self) -> frozenset[str]:
        """Return every specifier that it imports, requires or passes on."""
        clauses = {c.source for c in self.clauses if c.source}
        return frozenset(clauses | {load.source for i in self.items for load in i.loads})
