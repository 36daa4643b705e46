"""Replaces an If whose condition is known by the branch that is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from onnx import GraphProto, NodeProto, helper

from toolchain.formats.onnx_model import graphs, subgraphs


def definitions(graph: GraphProto) -> Counter[str]:
    """Count how often each name is defined in ``graph`` and the graphs inside it."""
    names: Counter[str] = Counter()
    for inner in graphs(graph):
        names.update(v.name for v in inner.input)
        names.update(t.name for t in inner.initializer)
        names.update(s.values.name for s in inner.sparse_initializer)
        names.update(name for node in inner.node for name in node.output if name)
    return names


def inlined(
    outer: GraphProto, node: NodeProto, names: Counter[str], *, taken: bool
) -> list[NodeProto]:
    """Return the nodes that take the place of the If ``node`` in ``outer``.

    Of ``names``, which counts the definitions in the whole model, those that the branch shares
    with other graphs become unique; the branch's initializers move to ``outer``.
    """
    wanted = "then_branch" if taken else "else_branch"
    branch = GraphProto()
    branch.CopyFrom(next(a.g for a in node.attribute if a.name == wanted))
    ambiguous = [name for name in definitions(branch) if names[name] > 1]
    rename(branch, {name: free_name(name, names) for name in ambiguous})
    outer.initializer.extend(branch.initializer)
    outer.sparse_initializer.extend(branch.sparse_initializer)
    results = [
        helper.make_node("Identity", [inner.name], [name])
        for inner, name in zip(branch.output, node.output, strict=False)
        if name
    ]
    return [*branch.node, *results]


def free_name(name: str, names: Counter[str]) -> str:
    """Return ``name`` with the first free number, and count it among ``names``."""
    number = 1
    while names[f"{name}_{number}"]:
        number += 1
    free = f"{name}_{number}"
    names[free] += 1
    return free


def rename(graph: GraphProto, new: Mapping[str, str]) -> None:
    """Give values of ``graph``, and of the graphs inside it, their ``new`` names everywhere."""
    for inner in graphs(graph):
        for value in [*inner.input, *inner.output, *inner.initializer]:
            value.name = new.get(value.name, value.name)
        for sparse in inner.sparse_initializer:
            sparse.values.name = new.get(sparse.values.name, sparse.values.name)
        for node in inner.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]


def used_names(node: NodeProto) -> set[str]:
    """Return what ``node`` reads, and what the graphs inside it mention."""
    names = set(node.input)
    for outer in subgraphs(node):
        for inner in graphs(outer):
            names.update(v.name for v in inner.output)
            names.update(name for n in inner.node for name in n.input)
    return names
