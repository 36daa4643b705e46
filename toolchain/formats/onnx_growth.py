"""Decides which computed constants are worth storing: those that take no more than they replace."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from toolchain.formats.onnx_model import nodes

_SMALL = 1024  # bytes; ours: ten nodes, or what folding a shape may add at most


def affordable(
    graph: GraphProto,
    values: Sequence[TensorProto],
    known: Mapping[str, TensorProto],
    model: ModelProto,
) -> list[TensorProto]:
    """Return those of ``values``, which nodes of ``graph`` give, that do not make the file grow.

    A small one always; a large one if the weights it was made of are read by nothing else: the
    two halves of a weight that is cut in two, but not a weight that something else reads as it
    is, and not the wide copy of one that is stored in half as many bytes. Readers in other graphs
    count unless they are of the same kind: what they give is probably the same, and kept once.
    """
    makers = {name: node for node in graph.node for name in node.output if name}
    sizes = {value.name: value.ByteSize() for value in values}
    large = [value for value in values if sizes[value.name] > _SMALL]
    if not large:
        return list(values)
    kinds = {makers[value.name].op_type for value in large}
    reads = Counter(
        name
        for node in nodes(model)
        if node.op_type not in kinds or not makers.keys().isdisjoint(node.output)
        for name in node.input
    )
    refused: set[str] = set()
    for cluster in _clusters([makers[value.name] for value in large], known):
        made = sum(sizes.get(name, 0) for node in cluster for name in node.output)
        inside = Counter(name for node in cluster for name in node.input)
        freed = sum(
            known[name].ByteSize() for name, count in inside.items() if reads[name] <= count
        )
        if made > freed + sum(node.ByteSize() for node in cluster):
            refused.update(name for node in cluster for name in node.output)
    return [value for value in values if value.name not in refused]


def _clusters(
    makers: Sequence[NodeProto], known: Mapping[str, TensorProto]
) -> list[list[NodeProto]]:
    """Group nodes that read the same large constants."""
    clusters: dict[str, list[NodeProto]] = {}  # by the name of a large constant
    alone: list[list[NodeProto]] = []
    for node in {id(node): node for node in makers}.values():
        names = [n for n in node.input if n in known and math.prod(known[n].dims) > _SMALL // 8]
        joined = {id(c): c for name in names if (c := clusters.get(name))}
        cluster = [node, *(n for c in joined.values() for n in c)]
        if not names:
            alone.append(cluster)
        moved = {id(c) for c in joined.values()}
        for name in [*names, *(k for k, c in clusters.items() if id(c) in moved)]:
            clusters[name] = cluster
    return alone + list({id(c): c for c in clusters.values()}.values())
