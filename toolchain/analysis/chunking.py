"""Which modules travel together: chunks by who reaches them, and small ones merged by their cost.

A *start* is what is loaded as a whole: a page's module, or what ``import()`` loads. Modules that
the same starts reach eagerly make a chunk, so that nothing is loaded in vain and nothing twice. A
lazy start does not count where every module that asks for it has loaded a module already. Chunks
shared by several starts are then merged while the requests that this saves cost more than the bytes
that some start loads in vain. Nothing is merged that would run a module that acts where it did not
run, or run modules that act in another order than before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar

import networkx as nx

Module = str
Loads = Mapping[Module, Sequence[Module]]
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules of a program; ``imports`` and ``lazy`` are in the order of the source."""

    pages: tuple[Module, ...]
    imports: Loads
    lazy: Loads
    sizes: Mapping[Module, int]  # bytes that each takes up when it travels
    acting: frozenset[Module] = frozenset()  # whose loading is noticed, or depends on its turn

    @property
    def starts(self) -> tuple[Module, ...]:
        """The pages, then what they load lazily, also by way of lazy modules."""
        found = list(dict.fromkeys(self.pages))
        known = set(found)
        for start in found:  # grows while it is walked
            for module in _closure([start], self.imports):
                fresh = [one for one in self.lazy.get(module, ()) if one not in known]
                known.update(fresh)
                found += dict.fromkeys(fresh)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What one more request costs, in bytes that could have been loaded instead.

    ``overhead_bytes`` travel with each request or pass while it is handled; ``context_bytes`` is
    what compression loses where a chunk is cut from its neighbours.
    """

    overhead_bytes: int
    context_bytes: int

    @property
    def of_chunk(self) -> int:
        """Bytes that a chunk costs beside its modules."""
        return self.overhead_bytes + self.context_bytes


@dataclass(frozen=True, slots=True, order=True)
class Chunk:
    """Modules that travel together, sorted, and the starts that make them needed."""

    modules: tuple[Module, ...]
    starts: frozenset[Module] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Loading:
    """What a start loads: its chunks, less those that are there already wherever it is asked for.

    ``in_vain`` are bytes of modules that it loads and does not need.
    """

    start: Module
    is_lazy: bool
    chunks: tuple[Chunk, ...]
    needed: int
    in_vain: int


@dataclass(frozen=True)
class Plan:
    """Chunks of a program; each module is in exactly one."""

    program: Modules
    chunks: tuple[Chunk, ...]
    merged: int = 0  # how many chunks went into others
    disordered: tuple[Module, ...] = ()  # starts whose modules that act run in another order

    @property
    def shared(self) -> tuple[Chunk, ...]:
        """The chunks of several starts that are no start themselves: those that may be merged."""
        return _shared(self.program, self.chunks)

    def loadings(self) -> tuple[Loading, ...]:
        """Return what each start loads, pages first."""
        return _Layout(self.program, self.chunks).loadings()


def plan(program: Modules, cost: RequestCost) -> Plan:
    """Return chunks in which the starts of ``program`` load least: bytes and requests together."""
    starts = program.starts
    chunks = _by_reach(program, starts)
    layout = _Layout(program, chunks)
    merged = 0
    while True:
        better = _merged(layout, cost)
        if better is None:
            break
        layout, merged = better, merged + 1
    return Plan(program, layout.chunks, merged, layout.disordered())


def loadings(program: Modules) -> tuple[Loading, ...]:
    """Return what each start loads if every module is a chunk of its own, pages first."""
    modules = _closure(program.starts, program.imports)
    return _Layout(program, tuple(Chunk((m,), frozenset()) for m in sorted(modules))).loadings()


def reach(program: Modules, starts: Sequence[Module]) -> dict[Module, int]:
    """Return the set of starts that eagerly load each module, as bits in the order of ``starts``.

    Modules in a circle are reached together; so sets are handed down in one walk over the graph
    of circles, and the time is linear in the number of imports.
    """
    graph: nx.DiGraph[Module] = nx.DiGraph()
    for module in _closure(starts, program.imports):
        graph.add_node(module)
        graph.add_edges_from((module, target) for target in program.imports.get(module, ()))
    circles = nx.condensation(graph)
    of = circles.graph["mapping"]
    bits = dict.fromkeys(circles, 0)
    for number, start in enumerate(starts):
        bits[of[start]] |= 1 << number
    for circle in nx.topological_sort(circles):
        for below in circles[circle]:
            bits[below] |= bits[circle]
    return {module: bits[of[module]] for module in graph}


def _by_reach(program: Modules, starts: tuple[Module, ...]) -> tuple[Chunk, ...]:
    """Return the modules grouped by who has to load them; by who reaches them if that circles."""
    reached = reach(program, starts)
    rows = list(enumerate(starts))
    loaded = {s: {m for m, bits in reached.items() if bits >> n & 1} for n, s in rows}
    there = _present(program, starts, loaded)
    loaders = {
        module: sum(1 << n for n, s in rows if bits >> n & 1 and module not in there[s])
        for module, bits in reached.items()
    }
    for sets in ({m: loaders[m] or reached[m] for m in reached}, reached):
        groups: dict[int, list[Module]] = defaultdict(list)
        for module in sorted(sets):
            groups[sets[module]].append(module)
        chunks = tuple(
            Chunk(tuple(modules), frozenset(s for n, s in rows if bits >> n & 1))
            for bits, modules in groups.items()
        )
        if not _Layout(program, chunks).circles():
            break
    return tuple(sorted(chunks))


def _present(
    program: Modules, starts: Sequence[Module], loaded: Mapping[Module, set[T]]
) -> dict[Module, set[T]]:
    """Return what is there already whenever a start is asked for: in all that ask for it.

    ``loaded`` is what each start loads. Found from above: all is there, until somebody is found
    who asks without it.
    """
    asking = _asking(program, starts)
    everything = set().union(*loaded.values()) if loaded else set()
    there = {s: set() if s in program.pages else set(everything) for s in starts}
    changed = True
    while changed:
        changed = False
        for start in (s for s in starts if s not in program.pages):
            known = everything.intersection(*(loaded[one] | there[one] for one in asking[start]))
            changed |= known != there[start]
            there[start] = known
    return there


def _asking(program: Modules, starts: Sequence[Module]) -> dict[Module, set[Module]]:
    """Return the starts that may ask for each lazy one: a module that they load does."""
    asking: dict[Module, set[Module]] = {start: set() for start in starts}
    for start in starts:
        for module in _closure([start], program.imports):
            for target in program.lazy.get(module, ()):
                asking[target].add(start)
    return asking


class _Layout:
    """Chunks of a program and what follows from them."""

    def __init__(self, program: Modules, chunks: tuple[Chunk, ...]) -> None:
        self.program, self.chunks = program, chunks
        self.of = {module: chunk for chunk in chunks for module in chunk.modules}
        self.size = {c: sum(program.sizes.get(m, 0) for m in c.modules) for c in chunks}
        self.needs: dict[Chunk, list[Chunk]] = {}
        for chunk in chunks:
            found = (self.of[t] for m in chunk.modules for t in program.imports.get(m, ()))
            self.needs[chunk] = [c for c in dict.fromkeys(found) if c is not chunk]

    def circles(self) -> bool:
        """Whether chunks import each other in a circle: nobody could say which runs first."""
        graph = nx.DiGraph((c, n) for c in self.chunks for n in self.needs[c])
        return not nx.is_directed_acyclic_graph(graph)

    def loaded(self) -> dict[Module, set[Chunk]]:
        """Return the chunks that each start needs, whether they are there or not."""
        own = {s: {self.of[m] for m in self._needed(s)} for s in self.program.starts}
        return {s: set(_closure(chunks, self.needs)) for s, chunks in own.items()}

    def _needed(self, start: Module) -> set[Module]:
        return set(_closure([start], self.program.imports))

    def fetched(self) -> dict[Module, set[Chunk]]:
        """Return the chunks that each start asks for: those that cannot be there yet."""
        loaded = self.loaded()
        there = _present(self.program, self.program.starts, loaded)
        return {start: chunks - there[start] for start, chunks in loaded.items()}

    def cost(self, request: RequestCost) -> int:
        """Return what all starts load, each on its own with an empty cache."""
        return sum(
            self.size[chunk] + request.of_chunk
            for chunks in self.fetched().values()
            for chunk in chunks
        )

    def acts_in_vain(self) -> frozenset[tuple[Module, Module]]:
        """Return the modules that act and that a start runs without needing them, with it."""
        acting = self.program.acting
        found = set()
        for start, chunks in self.loaded().items():
            ran = {m for c in chunks for m in c.modules if m in acting}
            found |= {(start, m) for m in ran - self._needed(start)}
        return frozenset(found)

    def disordered(self) -> tuple[Module, ...]:
        """Return the starts whose modules that act run in another order than as ES modules."""
        acting = self.program.acting
        if not acting:
            return ()
        turn = {m: n for n, m in enumerate(_order(self.program.starts, self.program.imports))}
        first = {c: min(turn[m] for m in c.modules) for c in self.chunks}
        needs = {c: sorted(found, key=first.__getitem__) for c, found in self.needs.items()}
        wrong = []
        for start in self.program.starts:
            wanted = [m for m in _order([start], self.program.imports) if m in acting]
            chunks = _order([self.of[start]], needs)
            ran = [m for c in chunks for m in sorted(c.modules, key=turn.__getitem__)]
            if [m for m in ran if m in acting and m in set(wanted)] != wanted:
                wrong.append(start)
        return tuple(wrong)

    def loadings(self) -> tuple[Loading, ...]:
        """Return what each start loads, pages first."""
        sizes = self.program.sizes
        found = []
        for start, chunks in self.fetched().items():
            modules = {m for c in chunks for m in c.modules}
            needed = modules & self._needed(start)
            found.append(
                Loading(
                    start,
                    start not in self.program.pages,
                    tuple(sorted(chunks)),
                    sum(sizes.get(m, 0) for m in needed),
                    sum(sizes.get(m, 0) for m in modules - needed),
                )
            )
        return tuple(found)


def _merged(layout: _Layout, cost: RequestCost) -> _Layout | None:
    """Return the layout after the merge that saves most; None if none saves anything."""
    before = layout.cost(cost)
    ran, disordered = layout.acts_in_vain(), set(layout.disordered())
    for _, one, other in sorted(_promising(layout, cost)):
        together = Chunk(tuple(sorted(one.modules + other.modules)), one.starts | other.starts)
        rest = tuple(c for c in layout.chunks if c is not one and c is not other)
        made = _Layout(layout.program, tuple(sorted((*rest, together))))
        if made.circles() or made.cost(cost) >= before:
            continue
        if made.acts_in_vain() <= ran and set(made.disordered()) <= disordered:
            return made
    return None


def _promising(layout: _Layout, cost: RequestCost) -> Iterator[tuple[int, Chunk, Chunk]]:
    """Yield pairs of shared chunks that may save something together, with the least it costs."""
    for one, other in combinations(_shared(layout.program, layout.chunks), 2):
        vain = layout.size[one] * len(other.starts - one.starts)
        vain += layout.size[other] * len(one.starts - other.starts)
        change = vain - cost.of_chunk * len(one.starts & other.starts)
        if change < 0:
            yield change, one, other


def _shared(program: Modules, chunks: Iterable[Chunk]) -> tuple[Chunk, ...]:
    starts = set(program.starts)
    return tuple(c for c in chunks if len(c.starts) > 1 and not starts & set(c.modules))


def _closure(starts: Iterable[T], along: Mapping[T, Collection[T]]) -> list[T]:
    """Return all that ``starts`` lead to, themselves included."""
    found = dict.fromkeys(starts)
    todo = list(found)
    while todo:
        for target in along.get(todo.pop(), ()):
            if target not in found:
                found[target] = None
                todo.append(target)
    return list(found)


def _order(starts: Iterable[T], along: Mapping[T, Sequence[T]]) -> list[T]:
    """Return what ``starts`` lead to in the order in which ES modules run, imports first."""
    done: dict[T, None] = {}
    entered: set[T] = set()
    for start in starts:
        stack: list[tuple[T, Iterator[T]]] = [(start, iter(along.get(start, ())))]
        if start in entered:
            continue
        entered.add(start)
        while stack:
            node, rest = stack[-1]
            target = next((t for t in rest if t not in entered), None)
            if target is None:
                done[node] = None
                stack.pop()
            else:
                entered.add(target)
                stack.append((target, iter(along.get(target, ()))))
    return list(done)
