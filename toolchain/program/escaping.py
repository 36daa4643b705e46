"""Follows what is out of hand: what somebody else was given may be called later, with anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from toolchain.program.calls import make
from toolchain.program.evaluation import Endless, Evaluation, Settled
from toolchain.program.members import chain
from toolchain.program.values import ANYTHING, UNKNOWN, Given, Thing, Value, joined

_CALLABLE = frozenset({"function", "bound"})


def is_code(things: Iterable[Thing]) -> bool:
    """Whether there is anything to call in what others were given."""
    todo, seen = list(things), set[Thing]()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
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
        _follow_all(evaluation)
        is_known = not evaluation.unknown
    except (Endless, Settled, RecursionError):
        is_known = False
    evaluation.changes, evaluation.proved, evaluation.unknown, evaluation.sees = known
    return not is_known


def _follow_all(evaluation: Evaluation) -> None:
    """Call all functions in what has escaped, and in what they return."""
    seen: set[Thing] = set()
    while fresh := [one for one in evaluation.escaped if one not in seen]:
        for one in fresh:
            seen.add(one)
            for value in _followed(evaluation, one, evaluation.escaped[one]):
                evaluation.escape(value, (one,))


def _followed(evaluation: Evaluation, one: Thing, this: Value) -> Iterator[Value]:
    """Yield what is found by doing with ``one`` whatever can be done."""
    if one.node is not None and one.kind in _CALLABLE:
        yield evaluation.call((one,), ANYTHING, joined(this, UNKNOWN), one.node)
    if one.node is not None and one.kind == "class":
        yield make(evaluation, one, ANYTHING, one.node)
    if one.kind in {"bound", "iterator"} and one.given is not None:
        yield one.base
        yield one.given.everything
    for holder in chain(one):
        yield joined((), holder.others, *holder.members.values())
        for getter in holder.getters.values():
            yield _run(evaluation, getter, Given(), one)
        for setter in holder.setters.values():
            yield _run(evaluation, setter, ANYTHING, one)


def _run(evaluation: Evaluation, functions: Value, given: Given, this: Thing) -> Value:
    found = [
        evaluation.call((f,), given, (this,), f.node)
        for f in functions
        if isinstance(f, Thing) and f.node is not None and f.kind in _CALLABLE
    ]
    return joined((), *found)
