"""Follows what is out of hand: what somebody else was given may be called later, with anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from toolchain.formats.javascript_tree import Node
from toolchain.program.calls import make
from toolchain.program.evaluation import Endless, Evaluation, Settled
from toolchain.program.members import chain
from toolchain.program.values import (
    ANYTHING,
    UNKNOWN,
    Given,
    Primitive,
    Text,
    Thing,
    Value,
    is_cut,
    joined,
)

_CALLABLE = frozenset({"function", "bound"})
_MOST_ROUNDS = 4  # ours: one function makes what another calls, and so on


def is_noticed(evaluation: Evaluation) -> bool:
    """Whether others can call, or change, anything in what they were given."""
    # what an item in doubt comes to by name is in doubt already
    if (evaluation.lost or evaluation.handed) and not evaluation.unknown:
        return True
    return _holds_code(evaluation, evaluation.escaped)


def _holds_code(evaluation: Evaluation, things: Iterable[Thing]) -> bool:
    todo, seen = list(things), set[Thing]()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        if one.owner is not None:
            evaluation.places.add((one.owner, None))  # what is put into it later is given, too
        if one.node is not None or one.getters or one.setters or one.kind in {"bound", "iterator"}:
            return True
        for holder in chain(one):
            held = (holder.others, *holder.members.values(), holder.base)
            todo += [inner for value in held for inner in value if isinstance(inner, Thing)]
    return False


def follow_escaped(evaluation: Evaluation) -> bool:
    """Note what functions store that others were given; return whether they may do anything.

    What else they do is no effect of the item: it is kept, for it has given them away.
    """
    known = evaluation.changes, evaluation.proved, evaluation.unknown, evaluation.sees
    evaluation.changes, evaluation.proved, evaluation.unknown = set(), "", ""
    evaluation.given_up += evaluation.steps
    evaluation.steps, evaluation.is_later = 0, True
    try:
        is_known = _follow_all(evaluation) and not (evaluation.unknown or evaluation.lost)
    except (Endless, Settled, RecursionError):
        is_known = False
    evaluation.changes, evaluation.proved, evaluation.unknown, evaluation.sees = known
    return not is_known


def _follow_all(evaluation: Evaluation) -> bool:
    """Call all functions in what has escaped, and in what they return, until nothing is new."""
    for _ in range(_MOST_ROUNDS):
        before = len(evaluation.put_there), len(evaluation.escaped)
        seen: set[Thing] = set()
        while fresh := [one for one in evaluation.escaped if one not in seen]:
            for one in fresh:
                seen.add(one)
                for value in _followed(evaluation, one, evaluation.escaped[one]):
                    evaluation.lost = evaluation.lost or is_cut(value)
                    evaluation.escape(_things(value), (one,))
        if (len(evaluation.put_there), len(evaluation.escaped)) == before:
            return True
    return False


def _followed(evaluation: Evaluation, one: Thing, this: Value) -> Iterator[Value]:
    """Yield what is found by doing with ``one`` whatever can be done."""
    node = _node_of(one)
    if node is not None and one.kind in _CALLABLE:
        yield evaluation.call((one,), ANYTHING, joined(this, UNKNOWN), node)
    if node is not None and one.kind == "class":
        yield make(evaluation, one, ANYTHING, node)
    if one.kind in {"bound", "iterator"} and one.given is not None:
        yield joined((), one.base, one.given.everything)
    for holder in list(chain(one)):
        yield holder.others
        yield from list(holder.members.values())
        for getter in list(holder.getters.values()):
            yield _run(evaluation, getter, Given(), one)
        for setter in list(holder.setters.values()):
            yield _run(evaluation, setter, ANYTHING, one)


def _run(evaluation: Evaluation, functions: Value, given: Given, this: Thing) -> Value:
    found: list[Value] = []
    for one in functions:
        node = _node_of(one) if isinstance(one, Thing) else None
        if node is not None:
            found.append(evaluation.call((one,), given, (this,), node))
        elif not isinstance(one, Primitive | Text):
            evaluation.doubt("gives away an accessor that is not known")
    return joined((), *found)


def _things(value: Value) -> Value:
    """Return the things in a value: what else is in there was not made by what is followed."""
    return tuple(one for one in value if isinstance(one, Thing))


def _node_of(one: Thing) -> Node | None:
    """Return the code of a function or class, also of a bound one."""
    base = one
    while base.kind == "bound" and base.node is None:
        inner = next((b for b in base.base if isinstance(b, Thing)), None)
        if inner is None:
            return None
        base = inner
    return base.node
