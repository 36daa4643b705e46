"""Keeps equal weights once, wherever in the graphs of a model they are, and no further away.

Where a weight lies decides how fast it is read. Measured in onnxruntime 1.32 on one core: a weight
one graph out of its reader is rearranged for the processor as any other; one that lies two graphs
out is not (MatMulNBits then takes 9.7 ms instead of 0.03, and LSTM rounds otherwise); and the
weights of a Conv are only where they lie in the graph of the Conv (1.4 times the time).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from onnx import GraphProto, TensorProto

from toolchain.formats.onnx_inline import definitions, free_name, rename
from toolchain.formats.onnx_model import drop, graphs, subgraphs

# Ours: smaller tensors are shapes, axes and scalars, which shape inference and fusions look for
# beside their reader; 32 numbers of 8 bytes, and no tensor has that many axes.
MOVED_BYTES = 256
_NEAR = frozenset({"Conv", "FusedConv"})  # read their weights from their own graph only


def share_equal(main: GraphProto, *, moved_bytes: int = MOVED_BYTES) -> bool:
    """Keep equal initializers once; return whether any are gone.

    Of a graph's own, the first stays. Those of ``moved_bytes`` or more that lie in several
    branches go to the graph around these, but not further, and not the weights of convolutions.
    """
    homes = list(_homes(main))
    names = definitions(main)
    fixed = fixed_names(main)
    groups: defaultdict[bytes, list[_Copy]] = defaultdict(list)
    for home in homes:
        for tensor in home.graph.initializer:
            if tensor.name not in fixed:
                groups[_content(tensor)].append(_Copy(home, tensor))
    near = {i for h in homes for n in h.graph.node if n.op_type in _NEAR for i in n.input}
    for group in groups.values():
        firsts: dict[int, str] = {}
        if group[0].tensor.ByteSize() >= moved_bytes:
            movable = [c for c in group if c.tensor.name not in near]
            firsts = _move_out(movable, homes, names)
        _keep_first(group, firsts)
    changed = any(home.gone for home in homes)
    for home in homes:
        home.settle()
    return changed


def fixed_names(main: GraphProto) -> set[str]:
    """Return the names that must stay: results of graphs, and what a caller may replace."""
    fixed = {value.name for graph in graphs(main) for value in graph.output}
    return fixed | {value.name for value in main.input}


def read_inside(graph: GraphProto) -> frozenset[str]:
    """Return the names that graphs inside ``graph`` mention, however deep."""
    inner = [i for node in graph.node for g in subgraphs(node) for i in graphs(g)]
    found = {value.name for each in inner for value in each.output}
    return frozenset(found.union(*(node.input for each in inner for node in each.node)))


@dataclass
class _Home:
    """A graph, the one around it, and what becomes of its initializers."""

    graph: GraphProto
    outer: _Home | None
    deep: frozenset[str]  # what graphs inside this one mention
    gone: set[str] = field(default_factory=set)
    new: dict[str, str] = field(default_factory=dict)
    arrived: list[TensorProto] = field(default_factory=list)

    def settle(self) -> None:
        """Do it."""
        drop(self.graph.initializer, self.gone)
        self.graph.initializer.extend(self.arrived)
        rename(self.graph, self.new)


@dataclass(frozen=True)
class _Copy:
    """One of several equal tensors."""

    home: _Home
    tensor: TensorProto

    def may_move_to(self, target: _Home) -> bool:
        """Whether all its readers would then be one graph away."""
        return self.home.outer is target and self.tensor.name not in self.home.deep


def _homes(graph: GraphProto, outer: _Home | None = None) -> Iterator[_Home]:
    """Yield the graphs with those around them, outer first."""
    home = _Home(graph, outer, read_inside(graph))
    yield home
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _homes(inner, home)


def _move_out(
    copies: Sequence[_Copy], homes: Sequence[_Home], names: Counter[str]
) -> dict[int, str]:
    """Let readers in a graph and right inside it read one copy there, if they have several.

    Return the name of that copy for each such graph, by its ``id``.
    """
    waiting = list(copies)
    made: dict[int, str] = {}
    for home in homes:
        group = [c for c in waiting if c.home is home or c.may_move_to(home)]
        if len({id(c.home) for c in group}) > 1:
            made[id(home)] = _move(group, home, names)
            waiting = [c for c in waiting if c not in group]
    return made


def _move(group: Sequence[_Copy], target: _Home, names: Counter[str]) -> str:
    """Let all readers read one copy in ``target``, under a name that nothing else has."""
    first = group[0]  # outer graphs come first: in the target, if one of them is
    name = first.tensor.name
    if names[name] > 1:
        name = free_name(name, names)
    for copy in group:
        if name != copy.tensor.name:
            copy.home.new[copy.tensor.name] = name
        if copy is not first or first.home is not target:
            copy.home.gone.add(copy.tensor.name)
    if first.home is not target:
        moved = TensorProto()
        moved.CopyFrom(first.tensor)
        moved.name = name
        target.arrived.append(moved)
    return name


def _keep_first(copies: Sequence[_Copy], firsts: dict[int, str]) -> None:
    """Let readers in each graph read that graph's first copy, or the one that moved there."""
    for home, name in ((c.home, c.tensor.name) for c in copies):
        first = firsts.setdefault(id(home), name)
        if name not in home.gone and first not in {name, home.new.get(name)}:
            home.gone.add(name)
            home.new[name] = first


def _content(tensor: TensorProto) -> bytes:
    """Return a digest of everything but the name."""
    nameless = TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    nameless.ClearField("doc_string")
    return hashlib.sha256(nameless.SerializeToString(deterministic=True)).digest()
