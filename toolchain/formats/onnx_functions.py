"""Writes the bodies of a model's own functions where they are called.

A model may define operators as functions of others; functions may call functions, so a file of
three kilobytes can stand for more nodes than there is memory. They are counted first.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from onnx import FunctionProto, ModelProto, inliner

from toolchain.errors import InputError
from toolchain.formats.onnx_model import function_nodes, graphs

_MOST_NODES = 200_000  # ours: the largest model we know (a diffusion network) has 10,000

_Key = tuple[str, str, str]  # domain, name, overload


def inline_functions(model: ModelProto) -> ModelProto:
    """Return ``model`` without functions; ``model`` itself where it has none.

    Errors:
        InputError: a function calls itself, is there twice, or needs another version of the
            operators than the model; or there would be too many nodes.
    """
    if not model.functions:
        return model
    refuse_bombs(model)
    versions = {imported.domain: imported.version for imported in model.opset_import}
    for function in model.functions:
        for imported in function.opset_import:
            if versions.setdefault(imported.domain, imported.version) != imported.version:
                raise InputError(
                    f"the function {function.name!r} is written for version {imported.version} of "
                    f"{imported.domain or 'ai.onnx'!r}, the model for {versions[imported.domain]}",
                    hint="export the model with one version of the operators",
                )
    try:
        plain = inliner.inline_local_functions(model)
    except RuntimeError as error:  # onnx says so what it cannot make sense of
        raise InputError(f"the functions of the model cannot be inlined: {error}") from error
    called = {_key(function) for function in plain.functions}
    if called:
        raise InputError(f"the function {min(called)[1]!r} cannot be inlined")
    return plain


def refuse_bombs(model: ModelProto) -> None:
    """Raise an InputError if the functions of ``model`` stand for too many nodes."""
    functions: dict[_Key, FunctionProto] = {}
    for function in model.functions:
        if functions.setdefault(_key(function), function) is not function:
            raise InputError(f"the function {function.name!r} is defined twice")
    sizes: dict[_Key, int] = {}
    for key in functions:
        _count(key, functions, sizes)
    total = sum(
        sizes.get((node.domain, node.op_type, node.overload), 1)
        for graph in graphs(model.graph)
        for node in graph.node
    )
    if total > _MOST_NODES:
        raise InputError(
            f"with its functions written out the model has {total} nodes",
            hint=f"at most {_MOST_NODES} are supported",
        )


def _count(start: _Key, functions: dict[_Key, FunctionProto], sizes: dict[_Key, int]) -> None:
    """Count the nodes of ``start`` and of what it calls, without recursion, into ``sizes``."""
    if start in sizes:
        return
    path = {start: _calls(functions[start], functions)}  # in the order of the calls
    while path:
        key, calls = next(reversed(path.items()))
        waiting = next((call for call in calls if call not in sizes), None)
        if waiting is None:
            path.popitem()
            body = function_nodes(functions[key])
            sizes[key] = sum(sizes.get((n.domain, n.op_type, n.overload), 1) for n in body)
        elif waiting in path:
            raise InputError(f"the function {waiting[1]!r} calls itself")
        else:
            path[waiting] = _calls(functions[waiting], functions)


def _calls(function: FunctionProto, functions: Container[_Key]) -> Iterator[_Key]:
    keys = ((node.domain, node.op_type, node.overload) for node in function_nodes(function))
    return iter(dict.fromkeys(key for key in keys if key in functions))


def _key(function: FunctionProto) -> _Key:
    return function.domain, function.name, function.overload
