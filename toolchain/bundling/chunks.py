"""Tells what the files of bundles make each start load, and plans better ones.

A plan begins with the files that a bundler made, whose sizes and imports are known exactly, since
only a bundler knows what is left of each module. Which of them go together is said in terms of
their modules, so that the same bundler can be asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

from toolchain import resources
from toolchain.analysis.chunking import Modules, RequestCost, loadings, plan
from toolchain.formats import esbuild
from toolchain.formats.compression import shipped_size
from toolchain.formats.javascript import read
from toolchain.ir import Graph, Store
from toolchain.program.inspection import Inspection
from toolchain.program.liveness import live
from toolchain.program.order import ordered
from toolchain.program.source import Source
from toolchain.tables import load, table

_RULES = "requests.toml"
_MS_PER_S = 1000


@table
class Request:
    """What one more request takes, of ``rules/requests.toml``."""

    headers_bytes: int
    handling_ms: float
    bandwidth_bytes_per_s: int
    context_bytes: int


@table
class _Rules:
    request: Request
    why: Mapping[str, str]


@cache
def request_cost() -> RequestCost:
    """Return what the rules say that a request costs."""
    one = load(resources.folder("rules") / _RULES, _Rules).request
    handling = one.handling_ms * one.bandwidth_bytes_per_s / _MS_PER_S
    return RequestCost(round(one.headers_bytes + handling), one.context_bytes)


@dataclass(frozen=True, slots=True)
class Download:
    """What a start loads that nobody has loaded before it, in brotli bytes and files."""

    start: str  # path of its file
    is_lazy: bool
    bytes: int
    files: int


@dataclass(frozen=True)
class Acting:
    """Finds the modules that act when they are loaded, or whose turn matters."""

    graph: Graph
    store: Store
    conditions: frozenset[str]
    entries: tuple[str, ...]

    def of(self, modules: Collection[str]) -> frozenset[str]:
        """Return those of ``modules`` that act, and those of which nothing is known."""
        return frozenset(m for m in modules if m not in self._quiet)

    @cached_property
    def _quiet(self) -> frozenset[str]:
        source = Source(self.graph, self.store, self.conditions)
        program = source.program(self.entries)
        inspection = Inspection(program, source.files.read)
        found = live(program, inspection.effect, self.entries)
        return frozenset(found.executed - ordered(program, found, inspection.effect))


def downloads(result: esbuild.Result, starts: Collection[str]) -> tuple[Download, ...]:
    """Return what is loaded: by pages and workers (bundles of ``starts``), then by lazy chunks."""
    files = _files(result, starts)
    return tuple(
        Download(one.start, one.is_lazy, one.needed + one.in_vain, len(one.chunks))
        for one in loadings(files)
    )


def cost(result: esbuild.Result, starts: Collection[str]) -> int:
    """Return what all starts cost together, bytes and requests, each with an empty cache.

    A worker counts like a page: it is in a realm of its own, where nothing is loaded yet.
    """
    overhead = request_cost().overhead_bytes
    return sum(one.bytes + one.files * overhead for one in downloads(result, starts))


def summary(found: Collection[Download], workers: Collection[str] = ()) -> str:
    """Return in words what pages, workers and ``import()`` load; nothing for a page of one file.

    ``workers`` are paths of the files that start as such, worklets too.

    >>> summary([Download("a.js", False, 900, 2), Download("b.js", True, 80, 1)])
    'a page loads 900 bytes in 2 files, import() 80 in 1'
    >>> summary([Download("a.js", False, 900, 1), Download("w.js", False, 80, 1)], ["w.js"])
    'a page loads 900 bytes in 1 file, workers 80 in 1'
    """
    pages = [one for one in found if not one.is_lazy and one.start not in workers]
    if sum(one.files for one in found) < 2:  # noqa: PLR2004 - all is in the one file
        return ""
    who = "a page loads" if len(pages) == 1 else f"{len(pages)} pages load"
    text = f"{who} {_sum(pages)[0]:,} bytes in {_count(_sum(pages)[1])}"
    beside = [one for one in found if not one.is_lazy and one.start in workers]
    lazy = [one for one in found if one.is_lazy]
    for name, some in (("workers", beside), ("import()", lazy)):
        text += f", {name} {_sum(some)[0]:,} in {_sum(some)[1]}" if some else ""
    return text


def _sum(found: Collection[Download]) -> tuple[int, int]:
    return sum(one.bytes for one in found), sum(one.files for one in found)


def _count(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"


def planned(result: esbuild.Result, starts: Collection[str], acting: Acting) -> dict[str, str]:
    """Return the chunk of each module that several starts share; {} if the files are good as is.

    Merged are files of ``result``, which a bundler made for ``starts`` and for what they load.
    """
    files = _files(result, starts)
    if not plan(files, request_cost()).merged:
        return {}
    outputs = {o.path: o for o in result.outputs if o.path in files.sizes}
    modules = {path: {m for m, size in o.inputs.items() if size} for path, o in outputs.items()}
    acts = acting.of(set().union(*modules.values()))
    acting_files = frozenset(path for path, inside in modules.items() if inside & acts)
    made = plan(replace(files, acting=acting_files), request_cost())
    if not made.merged:
        return {}
    return {
        module: f"shared-{number}"
        for number, chunk in enumerate(made.shared)
        for path in chunk.modules
        for module in outputs[path].inputs
    }


def _files(result: esbuild.Result, starts: Collection[str]) -> Modules:
    """Return the scripts of a build as a program whose modules are files."""
    scripts = {o.path: o for o in result.outputs if o.path.endswith(".js")}
    pages = tuple(sorted(p for p, o in scripts.items() if o.entry in starts))
    eager, lazy = {}, {}
    for path, output in scripts.items():
        inside = [one for one in output.imports if one.path in scripts]
        eager[path] = _in_order(output, [i.path for i in inside if i.kind != "dynamic-import"])
        lazy[path] = tuple(i.path for i in inside if i.kind == "dynamic-import")
    sizes = {path: shipped_size(output.data) for path, output in scripts.items()}
    return Modules(pages, eager, lazy, sizes)


def _in_order(output: esbuild.Output, paths: Collection[str]) -> tuple[str, ...]:
    """Return ``paths`` in the order in which the text of ``output`` imports them."""
    if len(paths) < 2:  # noqa: PLR2004 - one is in order
        return tuple(paths)
    turns: dict[str, int] = {}
    for number, mention in enumerate(read(output.data).mentions):
        turns.setdefault(mention.target.rpartition("/")[2], number)
    last = len(turns)
    return tuple(sorted(set(paths), key=lambda p: (turns.get(p.rpartition("/")[2], last), p)))
