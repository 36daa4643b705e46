"""Removes what a graph does not need: nodes, weights, copies of weights, functions, inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto

from toolchain.errors import ConfigError
from toolchain.formats.onnx_inline import rename, used_names
from toolchain.formats.onnx_model import (
    drop,
    function_nodes,
    graphs,
    nodes,
    refill,
    subgraphs,
)
from toolchain.formats.onnx_rewrite import with_constants_apart
from toolchain.formats.onnx_sharing import share_equal


def clean(model: ModelProto, *, keep_inputs: Collection[str]) -> ModelProto:
    """Return ``model`` less everything that no output needs.

    Inputs that nothing reads go too, but for ``keep_inputs``.
    """
    for graph in graphs(model.graph):
        _skip_identities(graph)
    _drop_dead(model.graph)
    share_equal(model.graph)
    _drop_dead(model.graph)
    unread = unread_inputs(model.graph) - set(keep_inputs)
    refill(model.graph.input, [v for v in model.graph.input if v.name not in unread])
    _drop_functions(model)
    for graph in graphs(model.graph):
        drop_shapes(graph)
    return model


def without_unused(model: ModelProto, *, outputs: Collection[str], inputs: bool) -> ModelProto:
    """Return ``model`` less the ``outputs`` named and everything that no other output needs.

    With ``inputs``, also less the inputs that nothing reads. Doc strings and what exporters noted
    about nodes and values go too; metadata of the model itself stays.

    Errors:
        ConfigError: no output would be left.
    """
    model = with_constants_apart(model)
    main = model.graph
    drop(main.output, outputs)
    if not main.output:
        raise ConfigError(
            "all outputs of the model would be dropped", hint="leave one that somebody reads"
        )
    _drop_dead(main)
    if inputs:
        drop(main.input, unread_inputs(main))
    _drop_functions(model)
    for graph in graphs(main):
        drop_shapes(graph)
    for noted in _noted(model):
        noted.ClearField("doc_string")
        if "metadata_props" in noted.DESCRIPTOR.fields_by_name:
            noted.ClearField("metadata_props")
    return model


def _noted(model: ModelProto) -> Iterator[Any]:
    """Yield everything below the model that may have a doc string or metadata."""
    for graph in graphs(model.graph):
        yield graph
        yield from (*graph.input, *graph.output, *graph.initializer)
    yield from model.functions
    for node in nodes(model):
        yield node
        yield from node.attribute


def drop_shapes(graph: GraphProto) -> None:
    """Drop what is noted about the shapes of values that no node of ``graph`` gives any more.

    The others stay, although they follow from the inputs: with them onnxruntime fuses more.
    """
    given = {name for node in graph.node for name in node.output}
    drop(graph.value_info, {value.name for value in graph.value_info} - given)


def unread_inputs(graph: GraphProto) -> frozenset[str]:
    """Return the inputs that neither a node nor an output reads."""
    read = {value.name for value in graph.output}.union(*map(used_names, graph.node))
    return frozenset(value.name for value in graph.input) - read


def _skip_identities(graph: GraphProto) -> None:
    """Let readers of a copy read the original; a result keeps its name."""
    outputs = {value.name for value in graph.output}
    own = {name for node in graph.node for name in node.output}
    kept: list[NodeProto] = []
    new: dict[str, str] = {}
    for node in graph.node:
        source, copy = (node.input[0], node.output[0]) if _is_identity(node) else ("", "")
        source = new.get(source, source)
        if copy and copy not in outputs:
            new[copy] = source
        elif copy and source in own and source not in outputs:
            # the original takes the name of the result; earlier renames to it follow
            new = {name: copy if to == source else to for name, to in new.items()} | {source: copy}
            outputs.discard(source)
        else:
            kept.append(node)
    refill(graph.node, kept)
    rename(graph, new)


def _is_identity(node: NodeProto) -> bool:
    return node.op_type == "Identity" and not node.domain


def _drop_dead(graph: GraphProto) -> None:
    """Drop nodes whose results nobody uses, then weights that nobody reads; here and inside."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(filter(None, node.output)):
            _drop_results(node, needed)
            for inner in subgraphs(node):
                _drop_dead(inner)
            needed |= used_names(node)
            kept.append(node)
    refill(graph.node, kept[::-1])
    drop(graph.initializer, {t.name for t in graph.initializer} - needed)
    refill(
        graph.sparse_initializer, [t for t in graph.sparse_initializer if t.values.name in needed]
    )


def _drop_results(node: NodeProto, needed: Collection[str]) -> None:
    """Let the branches of an If give only results that somebody needs."""
    if node.op_type != "If" or node.domain:
        return
    unneeded = [i for i, name in enumerate(node.output) if name not in needed]
    branches = subgraphs(node)
    if any(len(branch.output) != len(node.output) for branch in branches):
        return  # not a valid If: nothing is known about it
    for i in reversed(unneeded):
        del node.output[i]
        for branch in branches:
            del branch.output[i]


def _drop_functions(model: ModelProto) -> None:
    """Drop functions that no node calls, directly or through another function."""
    functions = {(f.domain, f.name): f for f in model.functions}
    called: set[tuple[str, str]] = set()
    waiting = [n for graph in graphs(model.graph) for n in graph.node]
    while waiting:
        node = waiting.pop()
        key = (node.domain, node.op_type)
        if key in functions and key not in called:
            called.add(key)
            waiting += function_nodes(functions[key])
    refill(model.functions, [f for key, f in functions.items() if key in called])
