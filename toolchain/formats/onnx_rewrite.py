"""The frame of every lossless rewrite of an ONNX model: what must hold before and after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from onnx import ModelProto

from toolchain.errors import InputError, PassError
from toolchain.formats import onnx_model
from toolchain.formats.onnx_model import refill
from toolchain.formats.onnx_session import session

_CONSTANTS_APART = 4  # first IR version in which an initializer need not be an input as well


def rewritten(
    data: bytes,
    change: Callable[[ModelProto], ModelProto | None],
    *,
    applies: Callable[[ModelProto], bool] = lambda _: True,
    only_smaller: bool = False,
) -> bytes:
    """Return ``data`` as ``change`` makes it; ``data`` itself where that is None.

    With ``only_smaller``, also where the result takes as many bytes or more. A model that
    ``applies`` says no to is not even opened in onnxruntime.

    Errors:
        InputError: no ONNX model, weights in another file, two weights of one name, or onnxruntime
            cannot load it.
        PassError: the result breaks the rules of ONNX, or does not load, although ``data`` does.
    """
    model = onnx_model.load(data)
    if not applies(model):
        return data
    session(data)
    _check_names(model)
    was_broken = onnx_model.broken_rule(model)
    after = change(model)
    if after is None:
        return data
    result = onnx_model.serialized(after)
    if only_smaller and len(result) >= len(data):
        return data
    broken = onnx_model.broken_rule(after)
    if broken and not was_broken:
        raise PassError(f"the rewritten model is not valid: {broken}")
    try:
        session(result)
    except InputError as error:
        raise PassError(f"of the rewritten model, {error}") from error
    return result


def _check_names(model: ModelProto) -> None:
    """Refuse a graph with two weights of one name: runtimes take one of them, not all the same."""
    for graph in onnx_model.graphs(model.graph):
        names = Counter(tensor.name for tensor in graph.initializer)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise InputError(
                f"{names[twice[0]]} weights of the graph {graph.name!r} are called {twice[0]!r}",
                hint="export the model again: which of them is meant is not said",
            )


def with_constants_apart(model: ModelProto) -> ModelProto:
    """Return ``model`` with initializers that are no inputs, as files before IR version 4 say.

    In those every initializer is listed as an input, yet runtimes take it as a constant.
    Source: onnx, docs/IR.md, "Graphs"; onnxruntime, ``Graph::CanOverrideInitializer``.
    """
    if model.ir_version < _CONSTANTS_APART:
        stored = {tensor.name for tensor in model.graph.initializer}
        refill(model.graph.input, [v for v in model.graph.input if v.name not in stored])
        model.ir_version = _CONSTANTS_APART
    return model
