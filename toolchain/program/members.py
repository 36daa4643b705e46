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

_BUILT_IN = frozenset({"array", "collection"})
_CONVERTERS = ("valueOf", "toString", "toJSON")  # called by operators, templates and String()


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
        for getter in holder.getters.values():
            found += [evaluation.call(getter, Given(), (one,), node)]
        found += [holder.others, *holder.members.values()]
    place = ELEMENTS if one.kind in _BUILT_IN else None
    if _is_open(one) or not evaluation.is_all(one, place):
        found.append(UNKNOWN)
    return joined(*found)


def get_of_thing(evaluation: Evaluation, one: Thing, key: str, node: Node, this: Value) -> Value:
    """Read a member of a thing, or what it inherits; getters are called with ``this``."""
    if one.kind == "proxy":
        evaluation.doubt("reads a member of a Proxy", node)
        return UNKNOWN
    if key == "prototype" and one.kind in {"class", "function"}:
        return joined((methods_of(one),), () if evaluation.is_all(one, key) else UNKNOWN)
    found: list[Value] = []
    for holder in chain(one):
        _accessed(evaluation, holder, key, node)
        is_here = key in holder.members or key in holder.getters
        if key in holder.getters:
            found.append(evaluation.call(holder.getters[key], Given(), this, node))
        found.append(holder.members.get(key, ()))
        is_own = holder.kind not in _BUILT_IN
        if is_own:
            found.append(holder.others)
        if not evaluation.is_all(holder, key if is_own else f"= {key}"):
            found.append(UNKNOWN)
        if is_here:
            return joined(*found)
    found.append(UNKNOWN if _is_open(one) else (Builtin(f"method.{key}"),))
    return joined(*found)


def _accessed(evaluation: Evaluation, holder: Thing, key: str | None, node: Node) -> None:
    """Note that a member may have been given a getter or setter by somebody else."""
    if not evaluation.is_all(holder, f"get {key}") or not evaluation.is_all(holder, "get *"):
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


def _is_open(one: Thing) -> bool:
    """Whether a thing may have members, of its own or inherited, that are not known."""
    for holder in chain(one):
        bases = holder.base
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


def contents(evaluation: Evaluation, value: Value) -> Value:
    """Return what an array or collection may hold; UNKNOWN for anything else."""
    found: list[Value] = []
    for one in value:
        if isinstance(one, Thing) and one.kind in _BUILT_IN:
            found.append(one.others)
            if not evaluation.is_all(one, ELEMENTS):
                found.append(UNKNOWN)
        else:
            found.append(PRIMITIVE if isinstance(one, Primitive | Text) else UNKNOWN)
    return joined(*found)


def elements(evaluation: Evaluation, value: Value, node: Node) -> Value:
    """Go through ``value`` and return what that may give; iterators of our own are in doubt."""
    for one in value:
        if isinstance(one, Unknown):
            evaluation.doubt("goes through something unknown", node)
        elif isinstance(one, Thing) and one.kind not in _BUILT_IN and _may_iterate(evaluation, one):
            evaluation.doubt("goes through what may run code", node)
    return contents(evaluation, value)


def _may_iterate(evaluation: Evaluation, one: Thing) -> bool:
    if one.kind == "proxy" or _is_open(one):
        return True
    return any(holder.others or not evaluation.is_all(holder, None) for holder in chain(one))


def convert(evaluation: Evaluation, value: Value, node: Node) -> None:
    """Make a string or number of ``value``: its own methods for that are called."""
    for one in value:
        if not isinstance(one, Thing) or one.kind in _BUILT_IN:
            continue
        if one.kind == "proxy":
            evaluation.doubt("converts a Proxy", node)
        for holder in chain(one):
            found = [holder.members.get(key, ()) for key in _CONVERTERS]
            # Symbol.toPrimitive and others whose names are computed
            for function in joined((), holder.others, *found):
                if isinstance(function, Thing) and function.kind in {"function", "bound"}:
                    evaluation.call((function,), Given(), (one,), node)


def run_getters(evaluation: Evaluation, one: Thing, node: Node) -> None:
    """Read all members of a thing."""
    if one.kind == "proxy":
        evaluation.doubt("reads a Proxy", node)
    for getter in list(one.getters.values()):
        evaluation.call(getter, Given(), (one,), node)
    _accessed(evaluation, one, None, node)


def store(evaluation: Evaluation, made: Thing, key: str | None, value: Value) -> None:
    """Put ``value`` into a thing."""
    if key is None:
        made.others = evaluation.grown(made.others, value, None)
    else:
        made.members[key] = evaluation.grown(made.members.get(key, ()), value, key)


def put(evaluation: Evaluation, owner: Value, key: str | None, value: Value, node: Node) -> None:
    """Set a member of what ``owner`` may be; a setter is called."""
    for one in owner:
        if isinstance(one, Thing):
            _put(evaluation, one, key, value, node)
        else:
            evaluation.change((one,), key, node)


def _put(evaluation: Evaluation, one: Thing, key: str | None, value: Value, node: Node) -> None:
    if one.kind == "proxy":
        evaluation.doubt("sets a member of a Proxy", node)
    evaluation.touch(one, ELEMENTS if key is None and one.kind in _BUILT_IN else key)
    is_called = False
    for holder in chain(one):
        _accessed(evaluation, holder, key, node)
        named = holder.setters if key is None else {key: holder.setters.get(key, ())}
        for setter in [s for s in named.values() if s]:
            evaluation.call(setter, Given((value,)), (one,), node)
            is_called = key is not None
    if not is_called:
        adopt(value, one)
        store(evaluation, one, key, value)
