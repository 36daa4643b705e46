"""Plans the chunks of bundles by what a request costs, and tells what a candidate makes load."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from toolchain import resources
from toolchain.analysis.chunking import Chunk, Modules, Plan, RequestCost, plan
from toolchain.formats import esbuild
from toolchain.formats.compression import SHIPPING, Codec, encode
from toolchain.ir import Graph, Store
from toolchain.program.inspection import Inspection
from toolchain.program.liveness import live
from toolchain.program.order import ordered
from toolchain.program.source import Source
from toolchain.tables import load, table

_EAGER = frozenset({"import-statement", "require-call"})
_LAZY = "dynamic-import"
_RULES = "requests.toml"
_MILLI = 1000


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
    handling = one.handling_ms * one.bandwidth_bytes_per_s / _MILLI
    return RequestCost(round(one.headers_bytes + handling), one.context_bytes)


@dataclass(frozen=True, slots=True)
class Download:
    """What a start of a bundled application loads, with an empty cache, in brotli."""

    start: str  # path of the file
    is_lazy: bool
    bytes: int
    files: int


def planned(result: esbuild.Result, entries: Sequence[str], acting: Acting) -> Plan | None:
    """Return the chunks that cost less than those by reach alone; None if there are none.

    ``result`` is esbuild's build of ``entries``. Sizes are those of minified modules in it, scaled
    to what all of its files take in brotli.
    """
    program = _modules(result, entries)
    if len(program.starts) < 2 or not plan(program, request_cost()).merged:  # noqa: PLR2004
        return None
    careful = Modules(
        program.pages, program.imports, program.lazy, program.sizes, acting.of(program.imports)
    )
    made = plan(careful, request_cost())
    return made if made.merged else None


def names(made: Plan) -> dict[str, str]:
    """Return the name of the chunk of each module that several starts share."""
    found: dict[str, str] = {}
    for number, chunk in enumerate(made.shared):
        found |= dict.fromkeys(chunk.modules, f"shared-{number}")
    return found


@dataclass(frozen=True)
class Acting:
    """Finds the modules that act when they are loaded, or whose turn matters."""

    graph: Graph
    store: Store
    conditions: frozenset[str]
    entries: Sequence[str]

    def of(self, modules: Collection[str]) -> frozenset[str]:
        """Return those of ``modules`` that act; all of which nothing is known."""
        source = Source(self.graph, self.store, self.conditions)
        program = source.program(self.entries)
        inspection = Inspection(program, source.files.read)
        found = live(program, inspection.effect, self.entries)
        quiet = found.executed - ordered(program, found, inspection.effect)
        return frozenset(m for m in modules if m not in quiet)


def downloads(result: esbuild.Result, roots: Collection[str]) -> tuple[Download, ...]:
    """Return what each start of bundles loads: pages (bundles of ``roots``), then lazy chunks."""
    return tuple(
        Download(one.start, one.is_lazy, one.needed, len(one.chunks))
        for one in _by_file(result, roots).loadings()
    )


def cost(result: esbuild.Result, roots: Collection[str]) -> int:
    """Return bytes and requests of all starts together, each with an empty cache."""
    overhead = request_cost().overhead_bytes
    return sum(one.bytes + one.files * overhead for one in downloads(result, roots))


def _by_file(result: esbuild.Result, roots: Collection[str]) -> Plan:
    scripts = {o.path: o for o in result.outputs if o.path.endswith(".js")}
    pages = tuple(sorted(p for p, o in scripts.items() if o.entry in roots))

    def imported(kinds: Collection[str]) -> dict[str, tuple[str, ...]]:
        return {
            path: tuple(i.path for i in o.imports if i.path in scripts and i.kind in kinds)
            for path, o in scripts.items()
        }

    sizes = {p: len(encode(o.data, Codec.BROTLI, SHIPPING.brotli)) for p, o in scripts.items()}
    files = Modules(pages, imported(_EAGER), imported({_LAZY}), sizes)
    chunks = (Chunk((path,), frozenset()) for path in sorted(scripts))
    return Plan(files, tuple(chunks))


def _modules(result: esbuild.Result, entries: Sequence[str]) -> Modules:
    taken: dict[str, int] = {}
    raw = brotli = 0
    for output in result.outputs:
        if output.path.endswith(".js"):
            raw += len(output.data)
            brotli += len(encode(output.data, Codec.BROTLI, SHIPPING.brotli))
            for module, size in output.inputs.items():
                taken[module] = taken.get(module, 0) + size
    scale = brotli / raw if raw else 0
    return Modules(
        tuple(entries),
        dict(_imports(result, _EAGER)),
        dict(_imports(result, {_LAZY})),
        {module: round(size * scale) for module, size in taken.items()},
    )


def _imports(
    result: esbuild.Result, kinds: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for module, one in result.inputs.items():
        found = (i.path for i in one.imports if not i.external and i.kind in kinds)
        yield module, tuple(dict.fromkeys(p for p in found if p in result.inputs))
