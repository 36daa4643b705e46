"""Runs passes: each result is proved before it is kept, cached, and booked in the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from toolchain import plugins
from toolchain.behaviour.baseline import Scenes
from toolchain.behaviour.runtimes import fingerprint
from toolchain.booking import Booking, check_sum, nothing, row_of, rows_of
from toolchain.choosing import Doing, chosen
from toolchain.errors import (
    ConfigError,
    InputError,
    PassError,
    ToolError,
    UnavailableError,
    UnusableError,
    VtoolError,
)
from toolchain.execution.base import Executor
from toolchain.execution.cache import ActionCache, action_key, source_digest
from toolchain.ir import (
    Artifact,
    ArtifactId,
    Digest,
    DirectoryStore,
    Graph,
    Kind,
    LedgerRow,
    ModelSearch,
    Play,
    Proof,
)
from toolchain.packed_graph import packed, unpacked
from toolchain.pass_keys import code_of, linked, task_code, tools
from toolchain.passes.base import (
    ArtifactPass,
    GraphPass,
    GuardedPass,
    Pass,
    PlayedPass,
    ProfiledPass,
    Step,
    make_pass,
)
from toolchain.progress import SILENT, Progress
from toolchain.rewriting import Outcome, Work, failed, rewrite
from toolchain.sources.tree import SourceFile
from toolchain.tables import check, dump
from toolchain.units import Seconds

BEHAVIOUR = "same-behaviour"  # the proof that plays the application's own scenario

_Names = dict[ArtifactId, ArtifactId]


@dataclass(frozen=True, slots=True)
class Questions:
    """The task of a package, and the files it reads: what ``tasks.make_task`` takes."""

    task: Mapping[str, Any]
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Result:
    """What a pipeline made of a graph."""

    graph: Graph
    ledger: tuple[LedgerRow, ...]
    renames: Mapping[ArtifactId, ArtifactId]  # input id -> output id, where a pass changed it
    searches: tuple[ModelSearch, ...] = ()  # one for each model that travels as a package
    questions: Mapping[str, Questions] = field(default_factory=dict)  # by id of the package


_Searched = tuple[ModelSearch, Questions]


@dataclass(frozen=True)
class Pipeline:
    """Everything that running passes needs; one value for a whole run.

    ``reference`` are files that are no part of the graph and that a task may read: recordings.
    ``scenario`` drives the application: what a pass over the whole graph made of code must behave
    like what it was made of.
    """

    store: DirectoryStore
    cache: ActionCache
    executor: Executor
    progress: Progress = SILENT
    reference: Mapping[str, SourceFile] = field(default_factory=dict)
    scenario: Play | None = None

    def run(self, graph: Graph, steps: Sequence[Step]) -> Result:
        """Apply ``steps`` to the files of ``graph``, in order.

        Errors:
            PassError: a pass returned an invalid graph, or the ledger does not add up.
            InputError: a pass over the whole graph cannot work on what it was given.
        """
        before = graph = graph.without_parts()
        scenes = Scenes(before, self.store, self.scenario) if self.scenario else None
        ledger: list[LedgerRow] = []
        renames: dict[ArtifactId, ArtifactId] = {}
        searches: dict[ArtifactId, _Searched] = {}
        for number, step in enumerate(steps):
            self.progress.update("passes", number, len(steps))
            made = make_pass(step.run, step.options)
            if lack := _lack(made):
                ledger.append(nothing(step.run, graph, lack))
                continue
            if isinstance(made, ArtifactPass):
                after, rows, names, found = self._each(graph, step, made, before)
                searches = {names.get(n, n): s for n, s in {**searches, **found}.items()}
            elif isinstance(made, GraphPass):
                after, rows, names = *self._whole(graph, step, made, scenes), {}
            else:
                raise PassError(f"the pass {step.run!r} is of no known kind")
            after = after.without_stale_maps(graph)
            if problems := after.problems():
                raise PassError(f"the pass {step.run!r} broke the graph: {problems[0]}")
            check_sum(rows, graph, after, f"the ledger of {step.run!r}")
            renames = {**{o: names.get(n, n) for o, n in renames.items()}, **_new(names, renames)}
            ledger += rows
            graph = after
        self.progress.update("passes", len(steps), len(steps))
        check_sum(ledger, before, graph, "the ledger")
        searched = tuple(replace(s, artifact=n) for n, (s, _) in sorted(searches.items()))
        questions = {str(n): asked for n, (_, asked) in searches.items()}
        return Result(graph, tuple(ledger), renames, searched, questions)

    def _each(
        self,
        graph: Graph,
        step: Step,
        made: ArtifactPass,
        origin: Graph,
    ) -> tuple[Graph, list[LedgerRow], _Names, dict[ArtifactId, _Searched]]:
        """Run an artifact pass on every file it is for, in parallel."""
        chosen = [
            a for a in graph.files.values() if a.kind in made.kinds and _matches(a.id, step.match)
        ]
        read = self._read(made, origin)
        works = {a.id: self._work(step, made, a, graph, read) for a in chosen}
        outcomes = self._run(made.proof, works)
        rows, changed = [], []
        names: dict[ArtifactId, ArtifactId] = {}
        taken = set(graph.artifacts)
        for artifact in chosen:
            outcome = outcomes[artifact.id]
            name = made.rename(artifact.id) if outcome.kept else artifact.id
            if name != artifact.id and name in taken:
                why = f"there is already a file {name}"
                outcome = replace(
                    outcome, kept=False, proof=Proof(made.proof, holds=False, detail=why)
                )
            rows.append(row_of(step.run, artifact, outcome))
            if not outcome.kept:
                continue
            kind = made.produces or artifact.kind
            changed.append(Artifact(artifact.id, kind, outcome.digest, outcome.size))
            if name != artifact.id:
                names[artifact.id] = name
                taken.add(name)
        task = made.task if isinstance(made, GuardedPass) else {}
        asked = Questions(task, {name: path for name, _, path in read})
        searches = {
            a: (o.search, asked) for a, o in outcomes.items() if o.kept and o.search is not None
        }
        return graph.with_artifacts(changed).renamed(names), rows, names, searches

    def _read(self, made: Pass, origin: Graph) -> list[tuple[str, Digest, Path]]:
        """Return name, digest and path of the files that ``made`` may read beside its own.

        They are those of the input, as they came: a companion model is what the application would
        use without any pass, so errors of two models do not hide each other.
        """
        if isinstance(made, ProfiledPass):
            return sorted(
                (name, file.digest, file.path)
                for name, file in self.reference.items()
                if _matches(ArtifactId(name), made.needs)
            )
        if not isinstance(made, GuardedPass):
            return []
        shipped = ((a.id, a.digest, self.store.path(a.digest)) for a in origin.files.values())
        apart = ((name, file.digest, file.path) for name, file in self.reference.items())
        return sorted(one for one in (*shipped, *apart) if _matches(ArtifactId(one[0]), made.needs))

    def _work(
        self,
        step: Step,
        made: ArtifactPass,
        artifact: Artifact,
        graph: Graph,
        read: Sequence[tuple[str, Digest, Path]],
    ) -> Work:
        near = linked(graph, artifact.id)
        code = (*code_of(step.run, made.proof), *task_code(made), *made.installed(), tools())
        digests = [(n.id, n.digest) for n in near]
        others = [(name, digest) for name, digest, _ in read]
        options = dict(step.options)
        key = action_key("pass", code, options, artifact.digest, digests, others)
        paths = {n.id.rpartition("/")[2]: str(self.store.path(n.digest)) for n in near}
        files = {name: str(path) for name, _, path in read}
        path = str(self.store.path(artifact.digest))
        return Work(key, step.run, options, path, str(self.store.root), paths, files)

    def _run(self, proof: str, works: Mapping[ArtifactId, Work]) -> dict[ArtifactId, Outcome]:
        """Answer each work from the cache, or in the executor.

        A file that cannot be rewritten stays as it is. A model that nothing can run, a wrong
        request, a full disk or a registry that does not answer end the run.
        """
        done: dict[ArtifactId, Outcome] = {}
        todo: list[ArtifactId] = []
        for artifact, work in works.items():
            cached = self.cache.get(work.key)
            if cached is not None and (not cached["kept"] or cached["digest"] in self.store):
                done[artifact] = Outcome.of(cached, cached=True)
            else:
                todo.append(artifact)
        for outcome in self.executor.run(rewrite, [works[a] for a in todo]):
            artifact = todo[outcome.index]
            _end_if_hopeless(artifact, outcome.error)
            if outcome.value is None:
                done[artifact] = failed(proof, str(outcome.error))
            else:
                done[artifact] = outcome.value
                if outcome.value.proof.holds:  # what failed may have failed for want of a tool
                    self.cache.put(works[artifact].key, dump(outcome.value))
            self.progress.update(f"pass {works[artifact].step}", len(done), len(works))
        return done

    def _whole(
        self, graph: Graph, step: Step, made: GraphPass, scenes: Scenes | None
    ) -> tuple[Graph, list[LedgerRow]]:
        """Run a pass over the whole graph, or take its result from the cache."""
        start = time.perf_counter()
        code = (*code_of(step.run, made.proof), *self._played(scenes), tools())
        read = self._read(made, graph)
        beside = (made.installed(), [(name, digest) for name, digest, _ in read])
        key = action_key("pass", *code, dict(step.options), packed(graph), *beside)
        known = self._known(key)
        if known is not None:
            after, booking = known
            return after, rows_of(step.run, graph, after, booking)
        self.progress.update(f"pass {step.run}", 0, 0)
        files = {name: path for name, _, path in read}

        doing = Doing(
            lambda before: self._applied(made, before, files),
            lambda after: self._proof(made, graph, after, files, scenes),
            self.progress,
        )
        try:
            found = chosen(made, graph, self.store, doing)
        except (InputError, ToolError) as error:
            if not isinstance(made, ProfiledPass):
                raise
            return graph, [
                nothing(step.run, graph, Proof(made.proof, holds=False, detail=str(error)))
            ]
        seconds = Seconds(round(time.perf_counter() - start, 3))
        booking = Booking(found.proof, seconds, cached=False, candidates=found.candidates)
        if not found.proof.holds:
            row = nothing(step.run, graph, found.proof, seconds=seconds)
            return graph, [replace(row, candidates=found.candidates)]
        if found.lasts:
            self.cache.put(key, {"graph": packed(found.graph), "booking": dump(booking)})
        return found.graph, rows_of(step.run, graph, found.graph, booking)

    def _known(self, key: Digest) -> tuple[Graph, Booking] | None:
        """Return what the cache says that a pass over the whole graph made."""
        cached = self.cache.get(key)
        if cached is None:
            return None
        after = unpacked(cached["graph"])
        if not all(a.digest in self.store for a in after.artifacts.values() if a.size):
            return None
        return after, replace(check(cached["booking"], Booking, where="the cache"), cached=True)

    def _applied(self, made: GraphPass, graph: Graph, files: Mapping[str, Path]) -> Graph:
        if isinstance(made, ProfiledPass):
            return made.apply_with(graph, self.store, files)
        if isinstance(made, PlayedPass):
            return made.apply_played(graph, self.store, self.scenario)
        return made.apply(graph, self.store)

    def _proof(
        self,
        made: GraphPass,
        graph: Graph,
        after: Graph,
        files: Mapping[str, Path],
        scenes: Scenes | None,
    ) -> Proof:
        """Return the pass's own proof, and after it what the scenario says where code changed."""
        options = {**asdict(made), "files": files, "scenario": self.scenario}
        proof: Proof = plugins.find("verify", made.proof).prove(graph, after, self.store, options)
        if not proof.holds or made.proof == BEHAVIOUR or not _scripts(graph) ^ _scripts(after):
            return proof
        if scenes is None:
            return proof
        played = scenes.judge(after, options)
        both = f"{proof.detail}; {played.detail}"
        return replace(played, detail=both) if played.holds else played

    def _played(self, scenes: Scenes | None) -> tuple[str, ...]:
        """Return what results depend on besides the graph, where a scenario judges them."""
        if scenes is None:
            return ()
        code = source_digest(plugins.find("verify", BEHAVIOUR).__name__)
        return (code, fingerprint(scenes.play), action_key("origin", packed(scenes.origin)))


def _scripts(graph: Graph) -> set[Artifact]:
    return {a for a in graph.files.values() if a.kind in {Kind.JS, Kind.TS}}


def _lack(made: Pass) -> Proof | None:
    """Return why ``made`` cannot be run on this machine; None where it can."""
    try:
        made.installed()
    except UnavailableError as error:
        return Proof(made.proof, holds=True, detail=f"not run: {error}; {error.hint}")
    return None


def _end_if_hopeless(artifact: ArtifactId, error: VtoolError | None) -> None:
    if isinstance(error, ConfigError | UnavailableError):
        raise error
    if isinstance(error, UnusableError):
        raise InputError(f"{artifact}: {error}", hint=error.hint)


def _matches(name: ArtifactId, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, g) for g in globs)


def _new(
    names: Mapping[ArtifactId, ArtifactId], renames: Mapping[ArtifactId, ArtifactId]
) -> dict[ArtifactId, ArtifactId]:
    return {old: new for old, new in names.items() if old not in renames.values()}
