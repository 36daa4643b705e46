"""Puts the nodes of a graph in an order in which every value is there before it is read."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from onnx import GraphProto, NodeProto

from toolchain.errors import InputError
from toolchain.formats.onnx_model import refill, subgraphs


def sort_nodes(graph: GraphProto) -> None:
    """Order the nodes of ``graph`` and of the graphs inside it; those in order stay as they are.

    Of the nodes that could be next, the one that stood first is.

    Errors:
        InputError: a value depends on itself, or two nodes of one graph write it.
    """
    for node in graph.node:
        for inner in subgraphs(node):
            sort_nodes(inner)
    nodes = list(graph.node)
    order = _order(nodes)
    if order != list(range(len(nodes))):
        refill(graph.node, [nodes[i] for i in order])


def _order(nodes: list[NodeProto]) -> list[int]:
    writers = _writers(nodes)
    missing: Counter[int] = Counter()
    readers: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        for before in {writers[name] for name in reads(node) if name in writers}:
            readers.setdefault(before, []).append(i)
            missing[i] += 1
    ready = [i for i in range(len(nodes)) if not missing[i]]
    order = []
    while ready:
        done = heapq.heappop(ready)
        order.append(done)
        for reader in readers.get(done, ()):
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = min(set(range(len(nodes))) - set(order))
        raise InputError(f"the graph is a circle: {_called(nodes[stuck])} waits for its own result")
    return order


def reads(node: NodeProto) -> set[str]:
    """Return the values that ``node`` needs: its inputs, and what graphs inside it take from here.

    A name that a graph inside gives to a value of its own is not taken from here.
    """
    names = set(filter(None, node.input))
    for inner in subgraphs(node):
        own = {value.name for value in inner.input} | {t.name for t in inner.initializer}
        own.update(sparse.values.name for sparse in inner.sparse_initializer)
        taken = {value.name for value in inner.output}
        for each in inner.node:
            own.update(each.output)
            taken |= reads(each)
        names |= taken - own
    return names


def _writers(nodes: Iterable[NodeProto]) -> dict[str, int]:
    writers: dict[str, int] = {}
    for i, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in writers:
                raise InputError(f"the value {name!r} is written by two nodes")
            writers[name] = i
    return writers


def _called(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or next(iter(node.output), '')!r}"
