"""Calls what the language and its platforms provide."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from toolchain.formats.javascript_tree import Node
from toolchain.program import builtins
from toolchain.program.descriptors import change_first, created, descriptor, key_of
from toolchain.program.effects import ELEMENTS
from toolchain.program.evaluation import Evaluation, short
from toolchain.program.implicit import (
    advance,
    ask_proxies,
    contents,
    convert,
    elements,
    read_in_depth,
    run_getters,
    settle,
)
from toolchain.program.members import BUILT_IN, chain, get
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

_SIZES = (".length", ".byteLength", ".byteOffset", ".size")  # numbers
_OF_FUNCTIONS = frozenset({"call", "apply", "bind"})
_CALLABLE = frozenset({"function", "bound"})
# methods that ask an object about itself, and members that the others call or read
_OF_ITSELF = frozenset({"hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "valueOf"})
_HOOKS = ("join", "exec", "toString", "length", "next", "flags")


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
        change_first(evaluation, path, given, node)
        return given.at(0)
    if path in _OF_OBJECTS:
        return _OF_OBJECTS[path](evaluation, given, node)
    if builtins.reads_only(path):
        return read_only(evaluation, path, given, node, is_open=True)
    return _call_other(evaluation, path, given, node)


def _call_other(evaluation: Evaluation, path: str, given: Given, node: Node) -> Value:
    if builtins.acts(path):
        evaluation.act(f"calls {path}", node)
        evaluation.escape(given.everything, is_read=path.startswith("console."))
        return UNKNOWN
    owner, _, last = path.rpartition(".")
    if last in _OF_FUNCTIONS:
        return _call_function(evaluation, last, given, (Builtin(owner),), node)
    evaluation.doubt(f"calls {path}, which is not known,", node)
    evaluation.escape(given.everything)
    return UNKNOWN


def read_only(
    evaluation: Evaluation, path: str, given: Given, node: Node, *, is_open: bool
) -> Value:
    """Follow a call, or ``new``, of what only reads: it may call what it is given."""
    everything = given.everything
    ask_proxies(evaluation, everything, node)
    told = _told(evaluation, path, given)
    if told is not None:
        return told
    _read(evaluation, path, given, node)
    data = tuple(one for one in everything if not _is_function(one))
    held = joined(*(contents(evaluation, (one,)) for one in data))
    # what an executor is given is called, and does nothing that anybody sees
    some = (Builtin("Promise.resolve"),) if path == "Promise" else joined(held, data)
    for one in everything:
        if isinstance(one, Thing) and one.kind in _CALLABLE:
            evaluation.call((one,), Given((), joined(some, PRIMITIVE)), (), node)
        elif isinstance(one, Thing) and one.kind in {"object", "instance"}:
            run_getters(evaluation, one, node)
    others = joined(everything, held, UNKNOWN)
    shared = _shared(given) if path in builtins.SHARE else ()
    return (evaluation.thing("collection", is_open=is_open, others=others, base=shared),)


def _told(evaluation: Evaluation, path: str, given: Given) -> Value | None:
    """Return what is told about an object without reading its members; None if they are read."""
    if path in builtins.SHALLOW:
        return (evaluation.thing("collection", is_open=True, others=UNKNOWN),)
    if path in builtins.DESCRIBE:
        return descriptor(evaluation, given.at(0), key_of(given))
    if path in builtins.DESCRIBE_ALL:
        found = descriptor(evaluation, given.at(0), None)
        return (evaluation.thing("object", is_open=True, others=found),)
    if path in builtins.PROTOTYPE:
        return UNKNOWN
    is_same = path == "Object" and any(not isinstance(o, Primitive | Text) for o in given.at(0))
    return given.at(0) if is_same else None


def _read(evaluation: Evaluation, path: str, given: Given, node: Node) -> None:
    """Go through what is given, make strings or numbers of it, wait for it: as ``path`` does."""
    first, everything = given.at(0), given.everything
    if path in builtins.ITERATE:
        elements(evaluation, first, node)
    if path in builtins.WAIT:
        settle(evaluation, first, node)
    if path in builtins.WAIT_EACH:
        settle(evaluation, contents(evaluation, first), node)
    if path in builtins.DEEP:
        read_in_depth(evaluation, everything, node)
    elif path not in builtins.KEEP:
        convert(evaluation, everything, node)
    if path == "structuredClone" and (len(given.values) > 1 or given.more):
        evaluation.doubt("takes buffers away", node)


def _shared(given: Given) -> Value:
    """Return what a view may share its bytes with: not arrays, which are copied, nor sizes."""
    return tuple(
        one
        for one in given.at(0)
        if not (isinstance(one, Thing) and one.kind == "array")
        and not (isinstance(one, Builtin) and one.path.endswith(_SIZES))
    )


def _read_member(evaluation: Evaluation, given: Given, node: Node) -> Value:
    """Follow ``Reflect.get``."""
    if given.more or len(given.values) > 2:  # noqa: PLR2004 - a receiver, which getters see
        evaluation.doubt("reads a member for something else", node)
    return get(evaluation, given.at(0), key_of(given), node)


_OF_OBJECTS: Mapping[str, Callable[[Evaluation, Given, Node], Value]] = {
    "Object.create": created,
    "Reflect.get": _read_member,
}


def _call_method(evaluation: Evaluation, name: str, given: Given, this: Value, node: Node) -> Value:
    """Call a method of an array, a collection, a primitive or a function."""
    if name in _OF_FUNCTIONS:
        return _call_function(evaluation, name, given, this, node)
    if name not in builtins.METHODS:
        evaluation.doubt(f"calls {short(node)}, which is not known,", node)
        evaluation.escape(joined(given.everything, this))
        return UNKNOWN
    _change_this(evaluation, name, given, this, node)
    held = contents(evaluation, this)
    if name not in builtins.KEEP_GIVEN:
        is_sure = name not in builtins.MAY_KEEP_GIVEN
        convert(evaluation, given.everything, node, is_sure=is_sure)
    if name in builtins.CONVERT_THIS:
        convert(evaluation, this, node)
    found: Value = ()
    if name in builtins.CALL_BACK:
        found = _call_back(evaluation, given, held, this, node)
    if name in builtins.WAIT_FOR_CALLBACK:
        settle(evaluation, found, node)
    if name in builtins.GIVE_TEXT:
        return PRIMITIVE
    # sort(), set() and their like give what they are called on
    others = joined(held, found, given.everything, UNKNOWN)
    kind = "iterator" if name in builtins.MAKE_ITERATOR else "collection"
    made = evaluation.thing(kind, others=others, is_open=True)
    return joined((made,), held, found, given.everything, this, PRIMITIVE)


def _change_this(evaluation: Evaluation, name: str, given: Given, this: Value, node: Node) -> None:
    """Change what a method changes: what it is called on, or what it is given."""
    if name not in _OF_ITSELF and any(_has_hooks(one, name) for one in this):
        evaluation.doubt(f"calls {short(node)}, which calls what was put there,", node)
    if name in builtins.CHANGE_THIS:
        for one in this:
            _hold(evaluation, one, given.everything, node)
    elif name in builtins.MATCH | builtins.MATCH_GIVEN:
        some = this if name in builtins.MATCH else given.at(0)
        evaluation.change(tuple(o for o in some if not _is_stateless(o)), ELEMENTS, node)
    elif name in builtins.ADVANCE:
        for one in this:
            if isinstance(one, Thing) and one.kind == "iterator":
                advance(evaluation, one, node)
            else:
                evaluation.change((one,), ELEMENTS, node)


def _has_hooks(one: Alternative, name: str) -> bool:
    """Whether a built-in method comes to code that somebody put into what it is called on."""
    if not isinstance(one, Thing) or one.kind in _CALLABLE:
        return False
    hooks = {"join"} if name == "toString" else _HOOKS
    return any(
        any(_is_function(f) or isinstance(f, Unknown) for f in holder.members.get(hook, ()))
        or hook in holder.getters
        for holder in chain(one)
        for hook in hooks
    )


def _hold(evaluation: Evaluation, one: Alternative, value: Value, node: Node) -> None:
    """Put something into an array or collection, as ``push`` does."""
    key = None if isinstance(one, Thing) and one.kind not in BUILT_IN else ELEMENTS
    evaluation.change((one,), key, node)
    if isinstance(one, Thing):
        adopt(value, one)
        one.others = evaluation.grown(one.others, value, key)
    else:
        evaluation.give((one,), value)


def _is_stateless(one: Alternative) -> bool:
    """Whether a value is certainly no regular expression that keeps where it was."""
    return isinstance(one, Thing) and one.kind not in {"collection", "instance"}


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
