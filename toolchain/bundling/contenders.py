"""The bundlers and minifiers that compete: what each is called, what it needs, how it is run."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolchain.bundling.rewiring import LEGAL, script_of
from toolchain.bundling.staging import Staged
from toolchain.errors import ConfigError, ToolError, UnavailableError
from toolchain.formats.bundlers import (
    ENGINES,
    MINIFIERS,
    OWN,
    Bench,
    Job,
    Made,
    bundle,
)
from toolchain.formats.esbuild_build import Output, Result
from toolchain.formats.javascript_legal import legal_comments
from toolchain.formats.sourcemap import SourceMap
from toolchain.sources.toolbox import missing_here, toolbox
from toolchain.sources.tools import node

ESBUILD = "esbuild"


@dataclass(frozen=True, slots=True)
class Contender:
    """A bundler and what minifies its output: ``rollup+swc``, or ``bun`` with its own.

    One that ``is_planned`` is told which modules make a chunk.
    """

    engine: str
    minifier: str = OWN
    is_planned: bool = False

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        name = self.engine if self.minifier == OWN else f"{self.engine}+{self.minifier}"
        return f"{name}, planned chunks" if self.is_planned else name

    @property
    def tools(self) -> frozenset[str]:
        """The tools of the toolbox that it needs."""
        return frozenset({self.engine, MINIFIERS.get(self.minifier, self.engine)})


def contenders(names: Sequence[str]) -> list[Contender]:
    """Return the contenders called ``names``, less esbuild, which is always there.

    Errors:
        ConfigError: no bundler or minifier is called so.
    """
    found = []
    for name in dict.fromkeys(names):
        engine, plus, minifier = name.partition("+")
        if name == ESBUILD:
            continue
        own = not plus and engine != "rollup"  # which has no minifier
        if engine not in ENGINES or not (own or minifier in MINIFIERS):
            raise ConfigError(
                f"bundle-js: candidates: nothing is called {name!r}",
                hint=f"a candidate is {ESBUILD}, or one of {', '.join(ENGINES)}, with "
                f"{' or '.join(f'+{m}' for m in MINIFIERS)} to minify its output",
            )
        found.append(Contender(engine, minifier or OWN))
    return found


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender made of the stage, or why nothing; ``result`` is as esbuild's."""

    contender: Contender
    made: Made
    result: Result | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Remade:
    """A candidate that was made once more: what is not the same, its maps, why there are none."""

    different: str = ""
    maps: Mapping[str, SourceMap] = field(default_factory=dict)  # by path
    detail: str = ""


@dataclass(frozen=True)
class Race:
    """The stage, and all that is the same for every contender."""

    staged: Staged
    reference: Result
    outdir: str
    target: str
    limit_s: float
    sourcemap: bool = False
    plans: Mapping[Contender, Mapping[str, str]] = field(default_factory=dict)  # module -> chunk

    def runs(self, chosen: Sequence[Contender]) -> Iterator[Run]:
        """Yield what each of ``chosen`` made, as they finish."""
        missing = missing_here()
        able = [c for c in chosen if not c.tools & missing.keys()]
        for one in chosen:
            if one not in able:
                why = "; ".join(missing[t] for t in sorted(one.tools & missing.keys()))
                yield Run(one, Made(0, error=why), absent=True)
        if not able:
            return
        try:
            bench = _bench()
        except (UnavailableError, ToolError) as error:
            yield from (Run(one, Made(0, error=str(error)), absent=True) for one in able)
            return
        jobs: dict[tuple[str, bool], list[Contender]] = defaultdict(list)
        for one in able:
            jobs[one.engine, one.is_planned].append(one)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            running = [pool.submit(self._run, bench, group) for group in jobs.values()]
            for done in as_completed(running):
                yield from done.result()

    def again(self, run: Run, paths: Collection[str] | None = None) -> Remade:
        """Make it once more, in another folder; of its files compare ``paths``, or all.

        And make its maps, which no other contender needs: it must be the same script with them.
        """
        different, made = self._second(run, paths, sourcemap=self.sourcemap)
        if not self.sourcemap:
            return Remade(different)
        if different:
            why = f"no source maps: with them it is not the same ({different})"
            return Remade(self._second(run, paths, sourcemap=False)[0], detail=why)
        maps = {f"{self.outdir}/{p}": self.staged.original(m) for p, m in made.maps.items()}
        return Remade("", maps, f"no source maps: {made.unmapped}" if made.unmapped else "")

    def _second(
        self, run: Run, paths: Collection[str] | None, *, sourcemap: bool
    ) -> tuple[str, Made]:
        (second,) = self._run(_bench(), [run.contender], sourcemap=sourcemap)
        first = {o.path: o.data for o in run.result.outputs} if run.result else {}
        other = {o.path: o.data for o in second.result.outputs} if second.result else {}
        compared = {*first, *other} if paths is None else paths
        different = sorted(p for p in compared if first.get(p) != other.get(p))
        return second.made.error or ", ".join(different), second.made

    def _run(
        self, bench: Bench, group: Sequence[Contender], *, sourcemap: bool = False
    ) -> list[Run]:
        with tempfile.TemporaryDirectory(prefix="vtool-stage-") as name:
            folder = Path(name).resolve()
            self.staged.write(folder)
            job = Job(
                group[0].engine,
                tuple(one.minifier for one in group),
                folder,
                self.staged.entries,
                self.staged.external,
                self.staged.required,
                self.target,
                self._chunks(group[0]),
                sourcemap,
            )
            made = bundle(bench, job, limit_s=self.limit_s)
        return [Run(one, made[one.minifier], self._result(made[one.minifier])) for one in group]

    def _chunks(self, contender: Contender) -> dict[str, str]:
        """Return the chunks that ``contender`` is told of, by the staged names of modules."""
        plan = self.plans.get(contender, {})
        origins = self.staged.origins.items()
        return {at: plan[name] for at, name in origins if name in plan}

    def _result(self, made: Made) -> Result | None:
        """Return what was made in esbuild's words: ids of the project, paths in ``outdir``."""
        if made.error:
            return None
        outputs = [self._output(one) for one in made.outputs]
        legal = (self._legal(one) for one in outputs)
        others = [o for o in self.reference.outputs if not script_of(o.path)]
        every = [*outputs, *others, *(one for one in legal if one.data)]
        return replace(self.reference, outputs=tuple(sorted(every, key=lambda o: o.path)))

    def _output(self, one: Output) -> Output:
        origins = self.staged.origins
        return replace(
            one,
            path=f"{self.outdir}/{one.path}",
            inputs={origins[n]: size for n, size in one.inputs.items() if n in origins},
            imports=tuple(
                i if i.external else replace(i, path=f"{self.outdir}/{i.path}") for i in one.imports
            ),
            entry=origins.get(one.entry, ""),
        )

    def _legal(self, output: Output) -> Output:
        """Return the legal comments of the modules that went into ``output``."""
        modules = {origin: name for name, origin in self.staged.origins.items()}
        found = [
            comment
            for origin, size in sorted(output.inputs.items())
            if size
            for comment in legal_comments(self.staged.texts[modules[origin]])
        ]
        return Output(output.path + LEGAL, "\n".join(dict.fromkeys(found)).encode())


def _bench() -> Bench:
    box = toolbox()
    return Bench(node(), box.folder, box.programs)
