"""Follows what copies, defines and describes the members of objects, as ``Object.assign`` does."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.formats.javascript_tree import Node
from toolchain.program import builtins
from toolchain.program.evaluation import Evaluation
from toolchain.program.implicit import run_getters
from toolchain.program.members import ANY_NAME, chain, inherit, store
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Alternative,
    Given,
    Primitive,
    Text,
    Thing,
    Value,
    joined,
)


def change_first(evaluation: Evaluation, path: str, given: Given, node: Node) -> None:
    """Follow what changes its first argument."""
    first = given.at(0)
    evaluation.give(first, given.rest(1).everything)
    if path in builtins.DEFINE:
        _define(evaluation, first, given, node)
        return
    evaluation.change(first, None, node)
    if path == "Reflect.set":
        evaluation.change(given.rest(2).everything, None, node)  # the last may be a receiver
    sources = [one for one in given.rest(1).everything if isinstance(one, Thing)]
    for source in sources:
        run_getters(evaluation, source, node)
    for one in first:
        if isinstance(one, Thing) and path not in builtins.ONLY_CLOSE:
            _take(evaluation, one, sources)
            _take_accessors(evaluation, path, one, given.at(1), node)


def _take(evaluation: Evaluation, one: Thing, sources: Sequence[Thing]) -> None:
    """Let ``one`` have whatever is in ``sources``."""
    one.is_open = True
    for source in sources:
        value = joined(source.others, *source.members.values())
        one.others = evaluation.grown(one.others, value, None)


def _take_accessors(
    evaluation: Evaluation, path: str, one: Thing, second: Value, node: Node
) -> None:
    """Let ``one`` have the getters and setters that it is given, or call those that it has."""
    if path in builtins.INHERIT:
        inherit(evaluation, one, second)
    elif path in builtins.DEFINE_ALL:
        _define_all(evaluation, one, second, node)
    elif any(holder.setters for holder in chain(one)):
        evaluation.doubt("sets members that have setters", node)


def created(evaluation: Evaluation, given: Given, node: Node) -> Value:
    """Follow ``Object.create``: an object that inherits from what is given."""
    made = evaluation.thing("object", base=given.at(0), is_open=bool(given.more))
    if len(given.values) > 1:
        made.is_open = True
        _define_all(evaluation, made, given.at(1), node)
    return (made,)


def key_of(given: Given) -> str | None:
    """Return the name of a member that is the second argument; None if that is not known."""
    name = given.at(1)
    is_known = len(given.values) > 1 and len(name) == 1
    return name[0].value if is_known and isinstance(name[0], Text) else None


def _define(evaluation: Evaluation, first: Value, given: Given, node: Node) -> None:
    """Follow ``Object.defineProperty``: a member, or an accessor."""
    key = key_of(given)
    for one in first:
        if not isinstance(one, Thing):
            evaluation.change((one,), key, node)
            continue
        evaluation.touch(one, key)
        for described in given.at(2):
            _described(evaluation, one, key, described)


def _define_all(evaluation: Evaluation, one: Thing, descriptors: Value, node: Node) -> None:
    """Give ``one`` all members that an object of property descriptors describes."""
    for described in descriptors:
        if not isinstance(described, Thing):
            if not isinstance(described, Primitive | Text):
                _described(evaluation, one, None, described)
            continue
        run_getters(evaluation, described, node)
        for key, member in described.members.items():
            for each in member:
                _described(evaluation, one, key, each)
        for each in described.others:
            _described(evaluation, one, None, each)


def _described(evaluation: Evaluation, one: Thing, key: str | None, described: Alternative) -> None:
    """Give ``one`` the member that a property descriptor describes."""
    if isinstance(described, Primitive | Text):
        return
    is_ours = isinstance(described, Thing) and (
        described.kind == "descriptor" or (described.kind == "object" and not described.is_open)
    )
    if not isinstance(described, Thing) or not is_ours:
        store(evaluation, one, key, UNKNOWN)
        _accessible(evaluation, one, key, "get", UNKNOWN)
        _accessible(evaluation, one, key, "set", UNKNOWN)
        return
    store(evaluation, one, key, joined(described.members.get("value", ()), described.others))
    for sort in ("get", "set"):
        accessor = joined((), described.members.get(sort, ()), described.others)
        _accessible(evaluation, one, key, sort, accessor)


def _accessible(
    evaluation: Evaluation, one: Thing, key: str | None, sort: str, accessor: Value
) -> None:
    """Give ``one`` a getter or setter, if ``accessor`` may be one."""
    functions = tuple(f for f in accessor if not isinstance(f, Primitive | Text))
    if functions:
        name = key if key is not None else ANY_NAME
        accessors = one.getters if sort == "get" else one.setters
        accessors[name] = joined(accessors.get(name, ()), functions)
        evaluation.touch(one, f"get {name}")


def descriptor(evaluation: Evaluation, value: Value, key: str | None) -> Value:
    """Return what describes a member of ``value``; None: some member."""
    made = evaluation.thing("descriptor", is_open=True, members={"value": UNKNOWN})
    for sort in ("get", "set"):
        found = [_accessor(evaluation, one, key, sort) for one in value]
        made.members[sort] = joined(PRIMITIVE, *found)
    return (made,)


def _accessor(evaluation: Evaluation, one: Alternative, key: str | None, sort: str) -> Value:
    """Return the getter or setter of a member; UNKNOWN where there may be others."""
    if not isinstance(one, Thing):
        return PRIMITIVE if isinstance(one, Primitive | Text) else UNKNOWN
    accessors = one.getters if sort == "get" else one.setters
    found = [accessors.get(ANY_NAME, ()), *accessors.values()]
    if key is not None:
        found = [accessors.get(name, ()) for name in (ANY_NAME, key)]
    is_all = evaluation.is_all(one, f"get {key}") and evaluation.is_all(one, f"get {ANY_NAME}")
    return joined(PRIMITIVE, *found, () if is_all and key is not None else UNKNOWN)
