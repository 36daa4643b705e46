"""Bundle JavaScript and TypeScript: one tree-shaken, minified file and lazy chunks.

What it does
    Each script that is a root, with everything it imports, becomes ``app/NAME.js``; what it loads
    with ``import()``, and what several of them share, becomes a chunk beside it. Code that nobody
    uses is left out. The modules that went in leave the graph.
    Several bundlers do it, side by side, from the same staged modules: ``candidates``. Of what
    they make the one that costs least and is proved to be the same program is kept; the ledger
    says of all others why not. What each page and each ``import()`` loads counts: brotli bytes, and
    what a request costs (``rules/requests.toml``). esbuild alone is the fast profile.
    Where pages or chunks share files, the best of rollup and of rolldown is made again with planned
    chunks: small shared files go into others while requests cost more than bytes loaded in vain.
    No module that acts runs where it did not run, or in another order.
    Pages, workers and worklets that share no file may each come from another bundler: the mix of
    the cheapest is one more candidate.

Why
    A page loads one file instead of hundreds, and compression sees all of the code at once.
    No bundler is best everywhere: rollup shakes most, swc and oxc minify most, others know
    CommonJS better, and each is wrong somewhere. docs/bundle-sizes.md has the table.

Keeps
    The names that a root exports. Files that are fetched while the application runs, and
    Emscripten's glue, keep their own paths, and ``import.meta.url`` its meaning: what
    was relative to a module is rewritten to be relative to the bundle. Licences of all packages
    that went in, and comments marked as legal, are collected in ``app/LICENSES.txt``.
    Statements that only see whether something throws, as ``'a' in x`` in a ``try``: minifiers take
    them for useless, so they get them as what is no minifier's to leave out. (rollup still
    leaves out ``+x;`` outside of a ``try``, and with it a ``valueOf`` that does more than tell.)
    A worker or worklet that is only ever started as a module, at an address that the code writes
    out, is bundled like a root; so is one in TypeScript, since no browser runs it as it is. Others
    stay files: who starts them by a name, or by their own as Emscripten does, must find them.
    Style sheets become one beside the bundle of each page, which has to link it.
    A root that lies in ``outdir`` with everything it imports is a bundle already and stays.

Source
    esbuild 0.28.2, https://esbuild.github.io/api/; rollup, rolldown, rspack, bun, swc and oxc as
    ``rules/toolbox`` locks them; the analysis of ``new URL(...)`` is ours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from toolchain.bundling import chunks
from toolchain.bundling.chunks import Acting
from toolchain.bundling.contenders import Contender, Race, Remade, Run, contenders
from toolchain.bundling.entries import entries
from toolchain.bundling.islands import Mix, Part, mixed
from toolchain.bundling.live import live_outputs, started, starting
from toolchain.bundling.planning import plans
from toolchain.bundling.refusal import LegalError, refusal
from toolchain.bundling.rewiring import Rewiring, brotli_size, maps_of, sheets, with_maps
from toolchain.bundling.staging import Project, UnstagedError, stage
from toolchain.errors import ConfigError
from toolchain.formats import esbuild
from toolchain.formats.code_folder import code_folder
from toolchain.formats.esbuild_plugins import AddressesStayRight
from toolchain.formats.sourcemap import Origin
from toolchain.ir import ArtifactId, Fate, Graph, Store
from toolchain.origins import chained, origins
from toolchain.passes.base import Again, Attempt, PortfolioPass
from toolchain.sources.tools import tool
from toolchain.units import Bytes, Seconds

_WHOLE = ("--tree-shaking=false", "--ignore-annotations")  # the last of two equal flags counts


@dataclass(frozen=True)
class Built:
    """What the bundler made: of which modules, what, and who needs its own address."""

    entries: tuple[ArtifactId, ...]
    result: esbuild.Result
    own_address: frozenset[str]
    origins: Mapping[str, Origin]  # where places of modules that were edited before were


@dataclass(frozen=True)
class BundleJs(PortfolioPass):
    """Bundle every script that is a root.

    ``conditions`` are those of package.json's ``exports``; ``external`` names packages that stay
    imports, for a page that provides them. ``candidates`` are ``esbuild``, which always takes part
    and says what is wrong with the code, and a bundler alone or with what minifies its output:
    ``rolldown``, ``rspack``, ``bun``, ``rollup+swc``, ``rolldown+oxc``. They write minified
    chunks; where others are wanted, esbuild is alone. Each has ``limit_s`` seconds.
    ``sourcemap`` makes a map for each script of the kept candidate, whoever made it, back to the
    modules as they came in; ``vtool trace`` reads it, and it does not ship.
    """

    proof = "same-exports"

    minify: bool = True
    splitting: bool = True
    target: str = "es2022"
    outdir: str = "app"
    conditions: tuple[str, ...] = ("browser", "module")
    external: tuple[str, ...] = ()
    sourcemap: bool = False
    candidates: tuple[str, ...] = ("esbuild",)
    limit_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.limit_s < math.inf:
            raise ValueError("limit_s should be a number of seconds above 0")
        if not self.candidates:
            raise ValueError("candidates names no bundler: name esbuild at least")

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with bundles in place of its modules: the smallest, not yet proved.

        Errors:
            ConfigError: ``outdir`` leads out of the output, esbuild knows no such ``target``,
            or nothing is called like a candidate.
            InputError: a syntax error, an import that does not resolve.
            ToolError: esbuild failed.
        """
        made = [one for one in self.attempts(graph, store) if one.graph is not None]
        found = min(made, key=lambda one: one.rank, default=None)
        if found is None or found.graph is None:
            return graph
        return (self.sourcemap and found.again().graph) or found.graph

    def attempts(self, graph: Graph, store: Store) -> Iterator[Attempt]:
        """Yield what each bundler makes, esbuild first; errors as ``apply``."""
        chosen = contenders(self.candidates) if self.minify and self.splitting else []
        try:
            yield from self._attempts(graph, store, chosen)
        except LegalError as error:
            yield _unable("esbuild", str(error))
            why = "not tried: it is given the modules that esbuild takes"
            yield from (_unable(one.name, why) for one in chosen)

    def _attempts(self, graph: Graph, store: Store, chosen: list[Contender]) -> Iterator[Attempt]:
        with ExitStack() as stack:
            start = time.perf_counter()
            opened = self._opened(graph, store, stack)
            if opened is None:
                return
            built, project = opened
            finish = _Finish(self, graph, store, built)
            parts = [finish.first(time.perf_counter() - start)]
            yield finish.attempt(parts[0])
            if not chosen:
                return
            try:
                staged = stage(project, self._names(built), self.target)
            except UnstagedError as error:
                yield from (_unable(one.name, str(error)) for one in chosen)
                return
        race = Race(staged, built.result, self.outdir, self.target, self.limit_s, self.sourcemap)
        runs = []
        for run in race.runs(chosen):
            runs.append(run)
            parts += finish.part(run, race)
            yield finish.of(run, race)
        acting = Acting(graph, store, frozenset(self.conditions), built.entries)
        planned = replace(race, plans=plans(runs, finish.starts, acting))
        for run in planned.runs(tuple(planned.plans)):
            parts += finish.part(run, planned)
            yield finish.of(run, planned)
        mix = mixed(parts, built.entries, finish.roots)
        if mix is not None:
            yield finish.mix(mix)

    def built(self, graph: Graph, store: Store, *, shaken: bool = True) -> Built | None:
        """Return what esbuild makes of ``graph``; None if it has nothing to bundle.

        Not ``shaken``: with all code of the modules that it reads, also where a package says that
        its modules can be left out, to measure what tree shaking is worth.

        Errors:
            as ``apply``
        """
        with ExitStack() as stack:
            opened = self._opened(graph, store, stack, () if shaken else _WHOLE)
            return opened[0] if opened else None

    def _opened(
        self, graph: Graph, store: Store, stack: ExitStack, more: tuple[str, ...] = ()
    ) -> tuple[Built, Project] | None:
        """Return what esbuild made, and the project as it reads it, until ``stack`` is closed."""
        if self.outdir.startswith("/") or ".." in PurePosixPath(self.outdir).parts:
            raise ConfigError(
                f"bundle-js: outdir: {self.outdir!r} leads out of the output folder",
                hint="write it relative to the output folder",
            )
        named = entries(graph, store, self.outdir)
        if not named:
            return None
        files = graph.files
        folder = stack.enter_context(code_folder(files.values(), store))
        service = stack.enter_context(esbuild.service(tool("esbuild")))
        flags = (*self._flags(), *more)
        while True:  # what only starts a worker from code that nobody needs makes no bundle
            moved = {str(i): f"{self.outdir}/{name}.js" for name, i in named.items()}
            plugin = AddressesStayRight(
                folder, files, frozenset(self.conditions), moved, self.outdir
            )
            result = service.build(esbuild.Build(folder, dict(named), flags, plugin))
            if result.errors:
                raise refusal(result.errors, folder, files.keys())
            live = live_outputs(result, starting(graph, named.values()))
            needed = {n: i for n, i in named.items() if f"{self.outdir}/{n}.js" in live}
            if needed == named:
                break
            named = needed
        origins = _origins(graph, store, plugin.origins) if self.sourcemap else {}
        built = Built(tuple(named.values()), result, frozenset(plugin.own_address), origins)
        package = _package(folder)
        return built, Project(
            service, folder, result, plugin, plugin.edited, package, self.sourcemap
        )

    def _names(self, built: Built) -> dict[str, str]:
        """Return the entries by the names of their bundles, as esbuild named them."""
        return {
            PurePosixPath(o.path).stem: o.entry
            for o in built.result.outputs
            if o.entry in built.entries and o.path.endswith(".js")
        }

    def _flags(self) -> tuple[str, ...]:
        flags = [
            "--bundle",
            "--format=esm",
            "--platform=browser",
            "--tree-shaking=true",
            "--charset=utf8",
            "--preserve-symlinks",
            "--legal-comments=external",
            f"--target={self.target}",
            f"--outdir={self.outdir}",
            f"--conditions={','.join(self.conditions)}",
            *(f"--external:{name}" for name in self.external),
        ]
        if self.minify:
            flags.append("--minify")
        if self.splitting:
            flags.append("--splitting")
        if self.sourcemap:
            flags += ["--sourcemap=external", "--sources-content=false"]
        return tuple(flags)


def _origins(graph: Graph, store: Store, moved: Mapping[str, Origin]) -> dict[str, Origin]:
    """Return where the modules that bundlers get were: less ``moved`` addresses and all edits."""
    before = origins(graph, store)
    found = {name: chained(moved.get(name), before.get(name)) for name in {*moved, *before}}
    return {name: origin for name, origin in found.items() if origin is not None}


def _unable(name: str, why: str) -> Attempt:
    return Attempt(name, Seconds(0), fate=Fate.FAILED, detail=why)


def _rounded(seconds: float) -> Seconds:
    return Seconds(round(seconds, 3))


def _package(folder: Path) -> Callable[[str], bytes | None]:
    def read(name: str) -> bytes | None:
        path = folder / name / "package.json"
        return path.read_bytes() if path.is_file() else None

    return read


@dataclass(frozen=True)
class _Finish:
    """Makes attempts of what bundlers made of one graph."""

    asked: BundleJs
    graph: Graph
    store: Store
    built: Built

    @property
    def roots(self) -> set[ArtifactId]:
        """The modules whose bundles need no code to start them."""
        return starting(self.graph, self.built.entries)

    def starts(self, result: esbuild.Result) -> set[str]:
        """Return the modules whose bundles start in a realm of their own: pages and workers."""
        return started(result, self.roots, self.built.entries)

    def first(self, seconds: float) -> Part:
        """Return what esbuild made."""
        result = self.built.result
        return Part("esbuild", seconds, result, lambda _: Remade(maps=maps_of(result)))

    def part(self, run: Run, race: Race) -> list[Part]:
        """Return what a contender made, if it made something."""
        name, seconds = run.contender.name, run.made.seconds
        made = run.result
        return [Part(name, seconds, made, lambda paths: race.again(run, paths))] if made else []

    def mix(self, mix: Mix) -> Attempt:
        """Return the attempt of a mix, or why its parts do not go together."""
        if mix.problem:
            return replace(_unable(mix.name, mix.problem), seconds=_rounded(mix.seconds))
        return self.attempt(Part(mix.name, mix.seconds, mix.result, lambda _: mix.again()))

    def attempt(self, part: Part) -> Attempt:
        """Return the attempt with the graph that ``part`` gives."""
        result = part.result
        styles = sheets(self.built.result, self.roots)
        rewiring = Rewiring(
            self.graph, self.store, result, self.asked.outdir, self.built.own_address, styles
        )
        made = rewiring.graph(set(self.built.entries))
        roots, starts = self.roots, self.starts(result)
        workers = {o.path for o in result.outputs if o.entry in starts - roots}

        def once_more() -> Again:
            again = part.again(None)
            origins = self.built.origins
            mapped = with_maps(made, self.store, again.maps, origins) if again.maps else None
            return Again(again.different, mapped, again.detail)

        return Attempt(
            part.name,
            _rounded(part.seconds),
            made,
            Bytes(brotli_size(result, roots)),
            cost=Bytes(chunks.cost(result, starts)),
            detail=chunks.summary(chunks.downloads(result, starts), workers),
            again=once_more,
        )

    def of(self, run: Run, race: Race) -> Attempt:
        """Return what became of a contender."""
        for part in self.part(run, race):
            return self.attempt(part)
        fate = Fate.SLOW if run.made.is_late else Fate.FAILED
        fate = Fate.ABSENT if run.absent else fate
        seconds = Seconds(run.made.seconds)
        return Attempt(run.contender.name, seconds, fate=fate, detail=run.made.error)
