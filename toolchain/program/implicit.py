"""Follows what nobody writes as a call: conversions, getters, iteration, waiting."""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.formats.javascript_tree import Node
from toolchain.program.builtins import is_provided
from toolchain.program.effects import ELEMENTS
from toolchain.program.evaluation import Evaluation
from toolchain.program.members import BUILT_IN, accessed, chain, is_open
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Builtin,
    Given,
    Primitive,
    Text,
    Thing,
    Unknown,
    Value,
    joined,
)

# called by operators, templates, String() and the like
_CONVERTERS = ("valueOf", "toString", "toJSON", "toLocaleString")
_CALLABLE = frozenset({"function", "bound"})
_DATA = frozenset({"object", "instance"})
_NOTHING = Given()


# what goes through something


def contents(evaluation: Evaluation, value: Value) -> Value:
    """Return what an array or collection may hold; UNKNOWN for anything else."""
    found: list[Value] = []
    for one in value:
        if isinstance(one, Thing) and one.kind in BUILT_IN:
            found.append(one.others)
            if not evaluation.is_all(one, ELEMENTS):
                found.append(UNKNOWN)
        else:
            found.append(PRIMITIVE if isinstance(one, Primitive | Text) else UNKNOWN)
    return joined(*found)


def elements(evaluation: Evaluation, value: Value, node: Node) -> Value:
    """Go through ``value`` and return what that may give; iterators of our own are in doubt."""
    for one in value:
        if isinstance(one, Unknown) or (isinstance(one, Builtin) and not is_provided(one.path)):
            evaluation.doubt("goes through something unknown", node)
        elif isinstance(one, Thing) and one.kind == "iterator":
            advance(evaluation, one, node)
        elif isinstance(one, Thing) and one.kind not in BUILT_IN and _may_iterate(evaluation, one):
            evaluation.doubt("goes through what may run code", node)
    return contents(evaluation, value)


def advance(evaluation: Evaluation, one: Thing, node: Node) -> None:
    """Ask an iterator for more: who asks next is given something else; a generator's body runs."""
    evaluation.touch(one, ELEMENTS)
    if one.maker is not evaluation and one.base and one.given is not None:
        evaluation.call(one.base, one.given, one.this, node)


def _may_iterate(evaluation: Evaluation, one: Thing) -> bool:
    if one.kind == "proxy" or is_open(one):
        return True
    return any(holder.others or not evaluation.is_all(holder, None) for holder in chain(one))


# what makes a string or a number, or reads all there is


def convert(evaluation: Evaluation, value: Value, node: Node, *, is_sure: bool = True) -> None:
    """Make a string or number of ``value``, and of elements: own methods for that are called.

    Where that is not sure, it is not doubted that there may be other methods than those seen.
    """
    for one in _with_elements(value):
        if one.kind == "proxy":
            evaluation.doubt("converts a Proxy", node)
        if one.kind in BUILT_IN and not one.members:
            continue
        for name in _CONVERTERS:
            _run_method(evaluation, one, name, node, is_sure=is_sure)
        # Symbol.toPrimitive and others whose names are computed
        for function in joined((), *(holder.others for holder in chain(one))):
            if isinstance(function, Thing) and function.kind in _CALLABLE:
                evaluation.call((function,), _NOTHING, (one,), node)


def _with_elements(value: Value, *, members: bool = False) -> Iterator[Thing]:
    """Yield the things in ``value``, the elements of arrays in it, and so on; or all members."""
    todo = [one for one in value if isinstance(one, Thing)]
    seen = {id(one) for one in todo}
    while todo:
        one = todo.pop()
        yield one
        held = one.others if one.kind in BUILT_IN else ()
        if members and one.kind in _DATA:
            held = joined((), one.others, *one.members.values())
        for inner in held:
            if isinstance(inner, Thing) and id(inner) not in seen:
                seen.add(id(inner))
                todo.append(inner)


def _run_method(  # noqa: PLR0913 - a call is of something, with something
    evaluation: Evaluation,
    one: Thing,
    name: str,
    node: Node,
    given: Given = _NOTHING,
    *,
    is_sure: bool = True,
) -> None:
    """Call a method of ``one``, if it is there."""
    for holder in chain(one):
        functions = holder.members.get(name, ())
        if name in holder.getters:
            read = evaluation.call(holder.getters[name], _NOTHING, (one,), node)
            functions = joined(functions, read)
        if is_sure and not evaluation.is_all(holder, name):
            evaluation.doubt(f"calls {name}, which may be anything,", node)
        for function in functions:
            is_ours = isinstance(function, Thing) and function.kind in _CALLABLE
            if is_ours or isinstance(function, Unknown):
                evaluation.call((function,), given, (one,), node)


def run_getters(evaluation: Evaluation, one: Thing, node: Node) -> None:
    """Read all members of a thing."""
    if one.kind == "proxy":
        evaluation.doubt("reads a Proxy", node)
    for getter in list(one.getters.values()):
        evaluation.call(getter, _NOTHING, (one,), node)
    accessed(evaluation, one, None, node)


def read_in_depth(evaluation: Evaluation, value: Value, node: Node) -> None:
    """Read all members of ``value``, theirs, and so on, as ``JSON.stringify`` does."""
    for one in list(_with_elements(value, members=True)):
        if one.kind in _DATA:
            run_getters(evaluation, one, node)
        convert(evaluation, (one,), node)


# what waits


def settle(evaluation: Evaluation, value: Value, node: Node) -> None:
    """Wait for ``value``: a method ``then`` of our own is called."""
    resolve: Value = (Builtin("Promise.resolve"),)
    for one in value:
        if isinstance(one, Thing) and one.kind == "proxy":
            evaluation.doubt("waits for a Proxy", node)
        elif isinstance(one, Thing) and one.kind not in BUILT_IN:
            _run_method(evaluation, one, "then", node, Given((resolve, resolve)))


def ask_proxies(evaluation: Evaluation, value: Value, node: Node) -> None:
    """Ask ``value`` something that only a Proxy answers by code of its own."""
    things = (one for one in value if isinstance(one, Thing))
    if any(holder.kind == "proxy" for one in things for holder in chain(one)):
        evaluation.doubt("asks a Proxy", node)
