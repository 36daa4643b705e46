"""Calls what the language and its platforms provide."""

from __future__ import annotations

from toolchain.formats.javascript_tree import Node
from toolchain.program import builtins
from toolchain.program.effects import ELEMENTS
from toolchain.program.evaluation import Evaluation, short
from toolchain.program.members import contents, convert, elements, run_getters, store
from toolchain.program.values import (
    ANYTHING,
    PRIMITIVE,
    UNKNOWN,
    Alternative,
    Builtin,
    Given,
    Primitive,
    Text,
    Thing,
    Unknown,
    Value,
    adopt,
    joined,
)

_OF_FUNCTIONS = frozenset({"call", "apply", "bind"})
_CALLABLE = frozenset({"function", "bound"})


def call_builtin(evaluation: Evaluation, path: str, given: Given, this: Value, node: Node) -> Value:
    """Call what has a path: ``Object.freeze``, ``method.push``."""
    start, _, method = path.partition(".")
    if start in {"method", "primitive"}:
        return _call_method(evaluation, method, given, this, node)
    path = builtins.without_global(path)
    method = path.partition(".prototype.")[2]
    if method and "." not in method:  # of a built-in class, as `hasOwnProperty.call(...)` uses it
        return _call_method(evaluation, method, given, this, node)
    if path in builtins.CHANGE_FIRST:
        _change_first(evaluation, path, given, node)
        return given.at(0)
    if path == "Object.create":
        return _created(evaluation, given)
    if builtins.reads_only(path):
        return read_only(evaluation, path, given, node, is_open=True)
    return _call_other(evaluation, path, given, node)


def _call_other(evaluation: Evaluation, path: str, given: Given, node: Node) -> Value:
    if builtins.acts(path):
        evaluation.act(f"calls {path}", node)
        return UNKNOWN
    owner, _, last = path.rpartition(".")
    if last in _OF_FUNCTIONS:
        return evaluation.call((Builtin(owner),), given.rest(1), given.at(0), node)
    evaluation.doubt(f"calls {path}, which is not known,", node)
    return UNKNOWN


def read_only(
    evaluation: Evaluation, path: str, given: Given, node: Node, *, is_open: bool
) -> Value:
    """Follow a call, or ``new``, of what only reads: it may call what it is given."""
    everything = given.everything
    if path in builtins.SHALLOW:
        return (evaluation.thing("collection", is_open=True, others=UNKNOWN),)
    if path in builtins.ITERATE:
        elements(evaluation, given.at(0), node)
    convert(evaluation, everything, node)
    data = tuple(one for one in everything if not _is_function(one))
    held = joined(*(contents(evaluation, (one,)) for one in data))
    # what an executor is given is called, and does nothing that anybody sees
    some = (Builtin("Promise.resolve"),) if path == "Promise" else joined(held, data)
    for one in everything:
        if isinstance(one, Thing) and one.kind in _CALLABLE:
            evaluation.call((one,), Given((), joined(some, PRIMITIVE)), (), node)
        elif isinstance(one, Thing) and one.kind == "object":
            run_getters(evaluation, one, node)
    others = joined(everything, held, UNKNOWN)
    return (evaluation.thing("collection", is_open=is_open, others=others),)


def _created(evaluation: Evaluation, given: Given) -> Value:
    """Follow ``Object.create``: an object that inherits from what is given."""
    is_open = len(given.values) != 1 or bool(given.more)
    return (evaluation.thing("object", base=given.at(0), is_open=is_open),)


def _change_first(evaluation: Evaluation, path: str, given: Given, node: Node) -> None:
    first = given.at(0)
    if path in builtins.DEFINE:
        _define(evaluation, first, given, node)
        return
    evaluation.change(first, None, node)
    sources = [one for one in given.rest(1).everything if isinstance(one, Thing)]
    for source in sources:
        run_getters(evaluation, source, node)
    for one in first:
        if isinstance(one, Thing) and path not in builtins.ONLY_CLOSE:
            one.is_open = True
            for source in sources:
                value = joined(source.others, *source.members.values())
                one.others = evaluation.grown(one.others, value, None)
            if one.setters:
                evaluation.doubt("sets members that have setters", node)


def _define(evaluation: Evaluation, first: Value, given: Given, node: Node) -> None:
    """Follow ``Object.defineProperty``: a member, or an accessor."""
    name = given.at(1)
    is_known = len(given.values) > 1 and len(name) == 1
    key = name[0].value if is_known and isinstance(name[0], Text) else None
    for one in first:
        if not isinstance(one, Thing):
            evaluation.change((one,), key, node)
            continue
        evaluation.touch(one, key)
        for described in given.at(2):
            _described(evaluation, one, key, described)


def _described(evaluation: Evaluation, one: Thing, key: str | None, described: Alternative) -> None:
    """Give ``one`` the member that a property descriptor describes."""
    if not isinstance(described, Thing) or described.kind != "object" or described.is_open:
        if not isinstance(described, Primitive):
            store(evaluation, one, key, UNKNOWN)
        return
    store(evaluation, one, key, joined(described.members.get("value", ()), described.others))
    for sort, accessors in (("get", one.getters), ("set", one.setters)):
        accessor = described.members.get(sort, ())
        if accessor:
            name = key if key is not None else "*"
            accessors[name] = joined(accessors.get(name, ()), accessor)
            evaluation.touch(one, f"get {name}")


def _call_method(evaluation: Evaluation, name: str, given: Given, this: Value, node: Node) -> Value:
    """Call a method of an array, a collection, a primitive or a function."""
    if name in _OF_FUNCTIONS:
        return _call_function(evaluation, name, given, this, node)
    if name not in builtins.METHODS:
        evaluation.doubt(f"calls {short(node)}, which is not known,", node)
        return UNKNOWN
    if name in builtins.CHANGE_THIS:
        evaluation.change(this, ELEMENTS, node)
        for one in this:
            if isinstance(one, Thing):
                adopt(given.everything, one)
                one.others = evaluation.grown(one.others, given.everything, ELEMENTS)
    held = contents(evaluation, this)
    convert(evaluation, given.everything, node)
    found: Value = ()
    if name in builtins.CALL_BACK:
        found = _call_back(evaluation, given, held, this, node)
    # sort(), set() and their like give what they are called on
    others = joined(held, found, given.everything, UNKNOWN)
    made = evaluation.thing("collection", others=others, is_open=True)
    return joined((made,), held, found, given.everything, this, PRIMITIVE)


def _call_back(evaluation: Evaluation, given: Given, held: Value, this: Value, node: Node) -> Value:
    """Call functions that are given to a method; what one returns the next may be given."""
    found: Value = ()
    data = tuple(o for o in given.everything if not _is_function(o))
    for one in given.everything:
        if isinstance(one, Unknown):
            evaluation.doubt("calls back something unknown", node)
        if not _is_function(one):
            continue
        evaluation.maybe += 1
        for _ in range(2):
            some = Given((), joined(held, this, data, found, PRIMITIVE))
            found = joined(found, evaluation.call((one,), some, data, node))
        evaluation.maybe -= 1
    return found


def _is_function(one: Alternative) -> bool:
    return isinstance(one, Builtin) or (isinstance(one, Thing) and one.kind in _CALLABLE)


def _call_function(
    evaluation: Evaluation, name: str, given: Given, this: Value, node: Node
) -> Value:
    """Follow ``f.call``, ``f.apply`` and ``f.bind``."""
    functions = tuple(t for t in this if not isinstance(t, Primitive | Text))
    if name == "bind":
        made = evaluation.thing("bound", base=functions, this=given.at(0), given=given.rest(1))
        return (made,)
    rest = given.rest(1)
    if name == "apply":
        rest = Given((), joined(contents(evaluation, given.at(1)), PRIMITIVE))
    if given.more:
        rest = ANYTHING
    return evaluation.call(functions, rest, given.at(0), node)
