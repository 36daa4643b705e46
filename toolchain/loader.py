"""From files to the graph: reads them in parallel and cached, and links what they refer to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from toolchain.analysis.packages import package_of
from toolchain.errors import InputError
from toolchain.execution.base import Executor
from toolchain.execution.cache import ActionCache, action_key
from toolchain.formats.kinds import HEAD_BYTES, kind_of
from toolchain.ir import (
    Artifact,
    ArtifactId,
    Digest,
    DirectoryStore,
    Edge,
    Graph,
    Kind,
    Relation,
    part_id,
)
from toolchain.linking import Linker
from toolchain.progress import SILENT, Progress
from toolchain.reading import Reading, Work, code_of, pack, read_file, unpack, unreadable
from toolchain.sources import archive
from toolchain.sources.tree import SourceFile
from toolchain.units import Bytes

_ARCHIVE_DEPTH = 3  # archives in archives in archives: no package we saw goes deeper
_CODE = frozenset({Kind.JS, Kind.TS})  # read only where something may load it: see Loader.load


@dataclass(frozen=True)
class Loaded:
    """The graph of a set of files, and what reading each file found."""

    graph: Graph
    readings: Mapping[ArtifactId, Reading]


@dataclass(frozen=True)
class Loader:
    """Everything that reading needs; one value for a whole run."""

    store: DirectoryStore
    cache: ActionCache
    executor: Executor
    progress: Progress = SILENT

    def load(
        self,
        files: Mapping[str, SourceFile],
        roots: Iterable[str],
        *,
        conditions: frozenset[str] = frozenset(),
        dynamic: Mapping[str, Sequence[str]] | None = None,
        starts: Collection[str] = (),
    ) -> Loaded:
        """Read ``files`` and link them into a graph.

        Of JavaScript and TypeScript only what the roots may load is parsed (all of it where there
        are no roots): a package ships many times the code that an application uses. The rest has
        its sizes and no edges.

        ``dynamic`` maps globs of source files to globs of the files that they load by names that
        are computed or lie in strings; without an entry a computed name is ``unknown:``. ``starts``
        are globs of files that are loaded as well, in a way that no other file shows: their code is
        followed like a root's.

        Errors:
            InputError: a root, or a file given alone, is not what its name or signature says.
        """
        everything, kinds, unpacked = self._unpack(files)
        for file in everything.values():
            self.store.adopt(file.path, file.digest)
        names = frozenset(ArtifactId(r) for r in roots)
        if missing := sorted(names - everything.keys()):
            raise InputError(
                f"there is no file {missing[0]}",
                hint="correct the entry in vtool.toml or add the file",
            )
        later = {ArtifactId(n) for n in everything if kinds[n] in _CODE} if names else set()
        readings = self._read(everything, kinds, later)
        linker = Linker.of(everything, kinds, conditions, dynamic or {})
        edges = linker.link(readings.keys() - later, readings) | set(unpacked)
        named = (ArtifactId(n) for n in everything if any(fnmatchcase(n, g) for g in starts))
        edges |= self._follow(
            names.union(named), later, readings, (everything, kinds, linker, edges)
        )
        _refuse_broken(readings, names if len(files) > 1 else frozenset(readings))
        graph = replace(_assemble(everything, kinds, readings, names), conditions=conditions)
        return Loaded(graph.with_artifacts(linker.absent.values()).with_edges(edges), readings)

    def _unpack(
        self, files: Mapping[str, SourceFile]
    ) -> tuple[dict[str, SourceFile], dict[str, Kind], list[Edge]]:
        """Return ``files`` with members of archives as ``archive!/member``, kinds, and edges."""
        everything, edges = dict(files), []
        kinds: dict[str, Kind] = {}
        todo = [(name, file, 1) for name, file in files.items()]
        while todo:
            name, file, depth = todo.pop()
            kinds[name] = kind_of(name, _head(file.path))
            if depth > _ARCHIVE_DEPTH or kinds[name] is not Kind.ARCHIVE:
                continue
            for member, inner in archive.open_tree(file.path).files.items():
                inner_name = f"{name}!/{member}"
                everything[inner_name] = inner
                edges.append(Edge(ArtifactId(name), ArtifactId(inner_name), Relation.UNPACKS))
                todo.append((inner_name, inner, depth + 1))
        return everything, kinds, edges

    def _follow(
        self,
        starts: frozenset[ArtifactId],
        later: set[ArtifactId],
        readings: dict[ArtifactId, Reading],
        project: tuple[Mapping[str, SourceFile], Mapping[str, Kind], Linker, set[Edge]],
    ) -> set[Edge]:
        """Read into ``readings`` what ``starts`` may load of ``later``; return its edges."""
        files, kinds, linker, known = project
        targets: dict[ArtifactId, set[ArtifactId]] = {}
        for edge in known:
            targets.setdefault(edge.source, set()).add(edge.target)
        packages: dict[str, set[ArtifactId]] = {}
        for name in later:
            packages.setdefault(package_of(name), set()).add(name)
        edges: set[Edge] = set()
        seen: set[ArtifactId] = set()
        wave = set(starts)
        ahead = _Ahead(packages)
        while wave:
            seen |= wave
            code = wave & later
            later -= code
            ahead.waves += 1
            works: dict[str, SourceFile] = {n: files[n] for n in sorted(code)}
            beside = partial(ahead.of, code, files)
            readings.update(self._read(works, kinds, frozenset(), beside))
            fresh = linker.link(code, readings)
            edges |= fresh
            for edge in fresh:
                targets.setdefault(edge.source, set()).add(edge.target)
            wave = {t for n in wave for t in _may_load(n, targets, packages)} - seen
        return edges

    def _read(
        self,
        files: Mapping[str, SourceFile],
        kinds: Mapping[str, Kind],
        later: Collection[ArtifactId],
        beside: Callable[[], Mapping[str, SourceFile]] = dict,
    ) -> dict[ArtifactId, Reading]:
        """Read ``files`` (the sizes alone of ``later``) from the cache or in the executor.

        Where the executor has to start anyway, it reads ``beside`` into the cache, too.
        """
        codes = {kind: code_of(kind) for kind in {kinds[n] for n in files}}
        works = {n: Work(str(f.path), kinds[n], sizes_only=n in later) for n, f in files.items()}
        keys = {n: _key(codes[w.kind], w, files[n]) for n, w in works.items()}
        found = {key: self.cache.get(key) for key in set(keys.values())}
        todo: dict[Digest, Work] = {}
        for name in sorted(files, key=lambda n: (-files[n].size, n)):  # the longest work first
            if found[keys[name]] is None:
                todo.setdefault(keys[name], works[name])
        for name, file in beside().items() if todo else ():
            work = Work(str(file.path), kinds[name])
            key = _key(code_of(work.kind), work, file)
            if key not in todo and self.cache.get(key) is None:
                todo[key] = work
        total = sum(Path(w.path).stat().st_size for w in todo.values())
        done = 0
        order = list(todo.items())
        for outcome in self.executor.run(read_file, [w for _, w in order]):
            key, work = order[outcome.index]
            found[key] = pack(outcome.value or unreadable(work, str(outcome.error)))
            if outcome.error is None:  # a crash or a time limit may not happen again
                self.cache.put(key, found[key])
            done += Path(work.path).stat().st_size
            self.progress.update("reading and measuring", done, total, "byte")
        readings = {key: unpack(found[key]) for key in {keys[n] for n in files}}
        return {ArtifactId(n): readings[keys[n]] for n in files}


def _key(code: object, work: Work, file: SourceFile) -> Digest:
    return action_key("read", code, work.kind, work.sizes_only, file.digest)


_DEEP = 8  # waves; starting the executor for each takes 0.1 s
_FIRST_AHEAD = 32  # files


@dataclass
class _Ahead:
    """Guesses what will be read soon, where imports lie many levels deep: more of the packages.

    Each wave starts the executor; a chain of a thousand modules would start it a thousand times.
    """

    packages: Mapping[str, set[ArtifactId]]
    waves: int = 0
    count: int = _FIRST_AHEAD
    guessed: set[ArtifactId] = field(default_factory=set)

    def of(
        self, code: Collection[ArtifactId], files: Mapping[str, SourceFile]
    ) -> dict[str, SourceFile]:
        """Return files of the packages of ``code``, twice as many each time that a guess failed."""
        if self.waves <= _DEEP:
            return {}
        near = set().union(*(self.packages.get(package_of(n), set()) for n in code))
        found = sorted(near - self.guessed)[: self.count]
        self.count *= 2
        self.guessed |= set(found)
        return {n: files[n] for n in found}


def _may_load(
    name: ArtifactId,
    targets: Mapping[ArtifactId, set[ArtifactId]],
    packages: Mapping[str, set[ArtifactId]],
) -> set[ArtifactId]:
    """Return what ``name`` may load: an unknown target may be any code of its own package."""
    found = targets.get(name, set())
    if any(t.startswith(f"{Kind.UNKNOWN}:") for t in found):
        return found | packages.get(package_of(name), set())
    return found


def _refuse_broken(readings: Mapping[ArtifactId, Reading], names: Iterable[ArtifactId]) -> None:
    for name in sorted(names):
        reading = readings.get(name)
        if reading is not None and dict(reading.contents.facts).get("unreadable"):
            raise InputError(
                f"{name}: {reading.contents.problems[0]}",
                hint="the file is damaged or cut short; fetch or build it again",
            )


def _assemble(
    files: Mapping[str, SourceFile],
    kinds: Mapping[str, Kind],
    readings: Mapping[ArtifactId, Reading],
    roots: frozenset[ArtifactId],
) -> Graph:
    artifacts: dict[ArtifactId, Artifact] = {}
    edges = []
    for name in sorted(files):
        owner = ArtifactId(name)
        file = files[name]
        artifacts[owner] = Artifact(owner, kinds[name], file.digest, Bytes(file.size))
        reading = readings[owner]
        for part, (digest, _) in zip(reading.contents.parts, reading.parts, strict=True):
            inner = part_id(owner, part.kind, part.name)
            artifacts[inner] = Artifact(inner, part.kind, digest, part.size, part.facts)
            edges.append(Edge(owner, inner, Relation.CONTAINS))
    return Graph(artifacts, frozenset(edges), roots)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
