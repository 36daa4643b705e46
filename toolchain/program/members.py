"""Reads and sets members of what an expression may give."""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.formats.javascript_tree import Node
from toolchain.program import builtins
from toolchain.program.effects import ELEMENTS
from toolchain.program.evaluation import Evaluation
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Alternative,
    Builtin,
    Given,
    Namespace,
    Primitive,
    Text,
    Thing,
    Unknown,
    Value,
    adopt,
    joined,
)

# What the language makes: iterators move on, patterns are regular expressions without a state
BUILT_IN = frozenset({"array", "collection", "iterator", "pattern"})
ANY_NAME = "*"  # an accessor's, where it is not known


def get(evaluation: Evaluation, owner: Value, key: str | None, node: Node) -> Value:
    """Read a member; None: some member."""
    return joined(*(_get_one(evaluation, one, key, node, owner) for one in owner))


def _get_one(
    evaluation: Evaluation, one: Alternative, key: str | None, node: Node, this: Value
) -> Value:
    if isinstance(one, Thing):
        if key is None:
            return _some_member(evaluation, one, node)
        return get_of_thing(evaluation, one, key, node, this)
    if key is None or isinstance(one, Unknown):
        evaluation.sees = True
        return PRIMITIVE if isinstance(one, Primitive | Text) else UNKNOWN
    if isinstance(one, Builtin):
        evaluation.sees = evaluation.sees or one.path in builtins.SHARED
        return (Builtin(f"{one.path}.{key}"),)
    if isinstance(one, Namespace):
        return evaluation.world.exported(one.module, key, evaluation.places)
    is_missing = len(this) > 1 and key not in builtins.METHODS  # another alternative is meant
    return PRIMITIVE if is_missing else (Builtin(f"primitive.{key}"),)


def _some_member(evaluation: Evaluation, one: Thing, node: Node) -> Value:
    """Read a member whose name is not known."""
    if one.kind == "proxy":
        evaluation.doubt("reads a member of a Proxy", node)
    found: list[Value] = [PRIMITIVE]
    for holder in chain(one):
        for getter in list(holder.getters.values()):
            found += [evaluation.call(getter, Given(), (one,), node)]
        found += [holder.others, *holder.members.values()]
    place = ELEMENTS if one.kind in BUILT_IN else None
    if is_open(one) or not evaluation.is_all(one, place):
        found.append(UNKNOWN)
    return joined(*found)


def get_of_thing(evaluation: Evaluation, one: Thing, key: str, node: Node, this: Value) -> Value:
    """Read a member of a thing, or what it inherits; getters are called with ``this``."""
    if any(holder.kind == "proxy" for holder in chain(one)):
        evaluation.doubt("reads a member of a Proxy", node)
        return UNKNOWN
    if key == "buffer" and one.kind == "collection":
        return joined((one,), () if evaluation.is_all(one, f"= {key}") else UNKNOWN)
    if key == "prototype" and one.kind in {"class", "function"}:
        return joined((methods_of(one),), () if evaluation.is_all(one, key) else UNKNOWN)
    return _inherited(evaluation, one, key, node, this)


def _inherited(evaluation: Evaluation, one: Thing, key: str, node: Node, this: Value) -> Value:
    """Read a member where it is, be that the thing itself or what it inherits from."""
    found: list[Value] = []
    for holder in chain(one):
        accessed(evaluation, holder, key, node)
        is_here = key in holder.members or key in holder.getters
        getters = [holder.getters[n] for n in (key, ANY_NAME) if n in holder.getters]
        found += [evaluation.call(getter, Given(), this, node) for getter in getters]
        found.append(holder.members.get(key, ()))
        is_own = holder.kind not in BUILT_IN
        if is_own:
            found.append(holder.others)
        if not evaluation.is_all(holder, key if is_own else f"= {key}"):
            found.append(UNKNOWN)
        if is_here:
            return joined(*found)
    found.append(UNKNOWN if is_open(one) else (Builtin(f"method.{key}"),))
    return joined(*found)


def accessed(evaluation: Evaluation, holder: Thing, key: str | None, node: Node) -> None:
    """Note that a member may have been given a getter or setter by somebody else."""
    if not all(evaluation.is_all(holder, f"get {name}") for name in (key, ANY_NAME)):
        evaluation.doubt("uses a member that may run code", node)


def chain(one: Thing) -> Iterator[Thing]:
    """Yield a thing and all things that it inherits members from."""
    yield one
    seen = {id(one)}
    todo = [one]
    while todo:
        for parent in _parents(todo.pop()):
            if id(parent) not in seen:
                seen.add(id(parent))
                yield parent
                todo.append(parent)


def _parents(one: Thing) -> list[Thing]:
    bases = [base for base in one.base if isinstance(base, Thing)]
    if one.kind == "instance":
        return [methods_of(base) for base in bases]
    if one.kind == "prototype":
        return [methods_of(b) for made in bases for b in made.base if isinstance(b, Thing)]
    return bases if one.kind in {"class", "object"} else []


def is_open(one: Thing) -> bool:
    """Whether a thing may have members, of its own or inherited, that are not known."""
    for holder in chain(one):
        bases = () if holder.kind in BUILT_IN else holder.base
        if holder.is_open or any(isinstance(base, Unknown | Namespace) for base in bases):
            return True
        if holder.kind == "class" and any(isinstance(base, Builtin) for base in bases):
            return True
    return False


def methods_of(one: Thing) -> Thing:
    """Return the prototype that instances of a class or function share."""
    if "prototype" not in one.members:
        made = Thing("prototype", one.maker, one.owner, base=(one,), is_open=one.is_open)
        one.members["prototype"] = (made,)
    things = [v for v in one.members["prototype"] if isinstance(v, Thing)]
    if len(things) == 1 and len(one.members["prototype"]) == 1:
        return things[0]
    return Thing("prototype", one.maker, one.owner, base=(one,), is_open=True)


def store(evaluation: Evaluation, made: Thing, key: str | None, value: Value) -> None:
    """Put ``value`` into a thing."""
    if key is None:
        made.others = evaluation.grown(made.others, value, None)
    else:
        made.members[key] = evaluation.grown(made.members.get(key, ()), value, key)


def put(  # noqa: PLR0913 - one is put somewhere, in some way
    evaluation: Evaluation,
    owner: Value,
    key: str | None,
    value: Value,
    node: Node,
    *,
    is_new: bool = False,
) -> None:
    """Set a member of what ``owner`` may be; a setter is called, unless the member is new."""
    for one in owner:
        if not isinstance(one, Thing):
            evaluation.change((one,), key, node)
            evaluation.give((one,), value)
            continue
        if one.kind == "proxy":
            evaluation.doubt("sets a member of a Proxy", node)
        evaluation.touch(one, ELEMENTS if key is None and one.kind in BUILT_IN else key)
        if key == "__proto__":
            inherit(evaluation, one, value)
        if is_new or not _set(evaluation, one, key, value, node):
            adopt(value, one)
            store(evaluation, one, key, value)


def _set(evaluation: Evaluation, one: Thing, key: str | None, value: Value, node: Node) -> bool:
    """Call the setters that a member may have; return whether it is known to have one."""
    is_called = False
    for holder in chain(one):
        accessed(evaluation, holder, key, node)
        names = [name for name in holder.setters if key in {None, name} or name == ANY_NAME]
        for name in names:
            evaluation.call(holder.setters[name], Given((value,)), (one,), node)
            is_called = is_called or (key is not None and name == key)
    return is_called


def inherit(evaluation: Evaluation, one: Thing, value: Value) -> None:
    """Let ``one`` inherit from what ``value`` may be, besides what it inherits from."""
    evaluation.touch(one, None)
    one.is_open = True
    for parent in [holder for v in value if isinstance(v, Thing) for holder in chain(v)]:
        some = joined(parent.others, *parent.members.values())
        one.others = evaluation.grown(one.others, some, None)
        for mine, given in ((one.getters, parent.getters), (one.setters, parent.setters)):
            for key, accessor in given.items():
                mine[key] = joined(mine.get(key, ()), accessor)
                evaluation.touch(one, f"get {key}")
