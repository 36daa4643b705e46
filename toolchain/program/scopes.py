"""Scopes: the names that each declares, and references in it that are not resolved yet."""

from __future__ import annotations

from toolchain.program.module import AWAIT

# Kinds of scopes by their capture, and what each declares by itself
OWN: dict[str, frozenset[str]] = {
    "function": frozenset({AWAIT, "arguments"}),
    "arrow": frozenset({AWAIT}),
    "method": frozenset({AWAIT, "arguments", "this"}),
    "field": frozenset({"arguments", "this"}),  # `var` cannot stand here
    "static": frozenset({"this"}),
    "open": frozenset(),
    "body": frozenset(),  # of a function: parameters do not see what `var` declares in it
    "block": frozenset(),
    "quiet": frozenset(),
}


class Scope:
    """Names that a scope declares, and references in it that are not resolved yet."""

    __slots__ = ("declared", "end", "function", "is_quiet", "members", "names", "writes")

    def __init__(self, end: int, kind: str, outer: Scope | None) -> None:
        self.end = end
        self.declared: set[str] = set(OWN[kind])
        self.names: set[str] = set()  # those used as a whole
        self.members: dict[str, set[str]] = {}
        self.writes: set[str] = set()
        # where `var` declares, if not here; no circle, which only a collector would free
        is_block = kind == "block" and outer is not None
        self.function: Scope | None = (outer.function or outer) if is_block and outer else None
        self.is_quiet = kind == "quiet"  # of types: no value is named in it

    def use(self, name: str, member: str) -> None:
        """Note that a member of a name is read."""
        self.members.setdefault(name, set()).add(member)

    def resolve(self) -> None:
        """Drop what is of this scope."""
        declared = self.declared
        if declared:
            self.names -= declared
            if self.writes:
                self.writes -= declared
            if self.members:
                for name in declared & self.members.keys():
                    del self.members[name]

    def close_into(self, outer: Scope) -> None:
        """Hand the references that are not of this scope to the one around it."""
        if self.is_quiet:
            return
        self.resolve()
        outer.names |= self.names
        if self.writes:
            outer.writes |= self.writes
        for name, members in self.members.items():
            outer.members.setdefault(name, set()).update(members)


def left(stack: list[Scope], at: int, *, whole: bool = False) -> Scope:
    """Close the scopes that end before ``at``, but for the first; return the innermost left."""
    while len(stack) > 1 and (whole or stack[-1].end <= at):
        stack.pop().close_into(stack[-1])
    return stack[-1]
