"""Takes each island of bundles from the candidate that makes it cheapest: one more candidate.

An island is bundles that share files, in what any candidate made: pages, module workers and
worklets, with all that they load. Two islands know of each other by address only, and every bundler
is told the addresses. So one may come from one bundler, the next from another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from toolchain.bundling import chunks
from toolchain.bundling.contenders import Remade
from toolchain.bundling.live import started
from toolchain.bundling.rewiring import brotli_size, script_of
from toolchain.formats.esbuild_build import Output, Result
from toolchain.formats.sourcemap import SourceMap

Island = tuple[str, ...]
"""The modules, sorted, whose bundles share files."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one bundler made of all entries. ``again`` makes it anew and compares these paths."""

    name: str
    seconds: float
    result: Result
    again: Callable[[Collection[str] | None], Remade]


def islands(results: Collection[Result], entries: Collection[str]) -> tuple[Island, ...]:
    """Return ``entries`` by island: those apart share no file in any of ``results``."""
    found = [{entry} for entry in entries]
    for result in results:
        users: dict[str, set[str]] = {}
        for entry in entries:
            for path in files(result, [entry]):
                users.setdefault(path, set()).add(entry)
        for together in users.values():
            joined = set().union(*(one for one in found if one & together))
            found = [one for one in found if not one & together] + [joined]
    return tuple(sorted(tuple(sorted(one)) for one in found))


def files(result: Result, entries: Collection[str]) -> set[str]:
    """Return the paths of the scripts that the bundles of ``entries`` load, now or later."""
    scripts = {o.path: o for o in result.outputs if o.path.endswith(".js")}
    todo = [o.path for o in scripts.values() if o.entry in entries]
    found = set(todo)
    while todo:
        imported = {i.path for i in scripts[todo.pop()].imports if not i.external}
        fresh = (imported & scripts.keys()) - found
        found |= fresh
        todo += fresh
    return found


@dataclass(frozen=True)
class Mix:
    """A candidate made of others: which part each island is taken from.

    ``reference`` has what is no script, and what was read.
    """

    reference: Result
    taken: Mapping[Island, Part]

    @property
    def name(self) -> str:
        """What the ledger calls it: ``per entry: main=rollup+swc; worker=esbuild``."""
        of: dict[str, list[str]] = {}
        for island, part in self.taken.items():
            of.setdefault(part.name, []).extend(_bundles(part.result, island))
        rows = sorted((sorted(bundles), part) for part, bundles in of.items())
        return "per entry: " + "; ".join(f"{', '.join(stems)}={part}" for stems, part in rows)

    @property
    def seconds(self) -> float:
        """What making it takes: all parts."""
        return sum(part.seconds for part in self._parts())

    @property
    def problem(self) -> str:
        """Why the islands cannot stand beside each other; empty if they can."""
        return next(self._problems(), "")

    @property
    def result(self) -> Result:
        """The files of all islands, and those of the reference that are no scripts."""
        every = [o for o in self.reference.outputs if not script_of(o.path)]
        for island, part in self.taken.items():
            own = files(part.result, island)
            every += [o for o in part.result.outputs if script_of(o.path) in own]
        return replace(self.reference, outputs=tuple(sorted(every, key=lambda o: o.path)))

    def again(self) -> Remade:
        """Make each part once more: of each only the files that were taken must be the same."""
        different: list[str] = []
        details: list[str] = []
        maps: dict[str, SourceMap] = {}
        for part in self._parts():
            own = [files(part.result, i) for i, other in self.taken.items() if other is part]
            paths = set().union(*own)
            made = part.again(paths)
            different += [f"{part.name}: {made.different}"] if made.different else []
            details += [f"{part.name}: {made.detail}"] if made.detail else []
            maps |= {path: one for path, one in made.maps.items() if path in paths}
        return Remade("; ".join(different), maps, "; ".join(details))

    def _parts(self) -> Iterator[Part]:
        yield from {part.name: part for part in self.taken.values()}.values()

    def _problems(self) -> Iterator[str]:
        """Yield what keeps the islands from standing beside each other."""
        yield from self._collisions()
        bundles: dict[str, str] = {}  # by entry
        for entry, path in self._addresses():
            if bundles.setdefault(entry, path) != path:
                yield f"{entry} is {bundles[entry]} or {path}"
        for island, part in self.taken.items():
            own = files(part.result, island)
            for output in part.result.outputs:
                if output.path in own:
                    yield from self._strangers(part, output, own | {*bundles.values()})

    def _collisions(self) -> Iterator[str]:
        """Yield the names of files that two parts have."""
        owners: dict[str, Part] = {}
        for island, part in self.taken.items():
            for path in sorted(files(part.result, island)):
                other = owners.setdefault(path, part)
                if other is not part:
                    yield f"{other.name} and {part.name} both make {path}"

    def _addresses(self) -> Iterator[tuple[str, str]]:
        """Yield where each part has the bundles of all entries, also those not taken from it."""
        entries = {entry for island in self.taken for entry in island}
        for part in self._parts():
            yield from ((o.entry, o.path) for o in part.result.outputs if o.entry in entries)

    def _strangers(self, part: Part, output: Output, there: Collection[str]) -> Iterator[str]:
        """Yield the files of a part that a script names and that are not taken with it."""
        for other in part.result.outputs:
            is_absent = other.path.endswith(".js") and other.path not in there
            if is_absent and PurePosixPath(other.path).name.encode() in output.data:
                yield f"{output.path} of {part.name} names {other.path}, which is not taken"


def mixed(parts: Sequence[Part], entries: Collection[str], roots: Collection[str]) -> Mix | None:
    """Return the cheapest part of each island together; None if one is the cheapest everywhere.

    The first of ``parts`` is the reference. ``roots`` are those of ``entries`` that need no code to
    start them; what nobody starts in the mix is no part of it. Of equal parts that is taken which
    is the cheapest as a whole.
    """
    found = islands([part.result for part in parts], entries)
    if len(found) < 2:  # noqa: PLR2004 - one island is one candidate
        return None
    best = min(parts, key=lambda p: (*_price(p.result, roots, entries), p.name))

    def cheapest(island: Island) -> Part:
        ranked = {p.name: _price(_only(p.result, island), island, island) for p in parts}
        return min(parts, key=lambda p: (*ranked[p.name], p is not best, p.name))

    whole = Mix(parts[0].result, {island: cheapest(island) for island in found})
    living = started(whole.result, roots, entries)
    taken = {island: part for island, part in whole.taken.items() if living & set(island)}
    is_mix = len({part.name for part in taken.values()}) > 1
    return replace(whole, taken=taken) if is_mix else None


def _price(result: Result, roots: Collection[str], entries: Collection[str]) -> tuple[int, int]:
    """Return what is compared: the cost of what is loaded, then brotli bytes."""
    return chunks.cost(result, started(result, roots, entries)), brotli_size(result, roots)


def _only(result: Result, island: Island) -> Result:
    own = files(result, island)
    return replace(result, outputs=tuple(o for o in result.outputs if o.path in own))


def _bundles(result: Result, island: Island) -> list[str]:
    return [PurePosixPath(o.path).stem for o in result.outputs if o.entry in island]
