"""From files to the graph: reads every file once, in parallel and cached, and links them."""

from __future__ import annotations

import fnmatch
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from toolchain import plugins
from toolchain.errors import InputError
from toolchain.execution.base import Executor
from toolchain.execution.cache import ActionCache, action_key, source_digest
from toolchain.formats import compression
from toolchain.formats.kinds import HEAD_BYTES, kind_of
from toolchain.ingest.base import Contents, Part, Reference
from toolchain.ir import (
    Artifact,
    ArtifactId,
    Digest,
    DirectoryStore,
    Edge,
    Graph,
    Kind,
    Relation,
    Sizes,
    digest_of,
    part_id,
)
from toolchain.progress import SILENT, Progress
from toolchain.sources import archive
from toolchain.sources.tree import SourceFile
from toolchain.units import Bytes

_ARCHIVE_DEPTH = 3  # archives in archives in archives: no package we saw goes deeper


@dataclass(frozen=True, slots=True)
class Reading:
    """What one file holds, and how large it and each of its parts are."""

    contents: Contents
    sizes: Sizes
    parts: tuple[tuple[Digest, Sizes], ...]  # of contents.parts, in order; () for a file without


@dataclass(frozen=True)
class Loaded:
    """The graph of a set of files, and what reading each file found."""

    graph: Graph
    readings: Mapping[ArtifactId, Reading]

    def sizes(self, name: ArtifactId) -> Sizes:
        """Return the measured sizes of a file or a part."""
        if name in self.readings:
            return self.readings[name].sizes
        owner = ArtifactId(name.partition("#")[0])
        reading = self.readings[owner]
        for part, (_, sizes) in zip(reading.contents.parts, reading.parts, strict=True):
            if part_id(owner, part.kind, part.name) == name:
                return sizes
        raise KeyError(name)


@dataclass(frozen=True)
class Files:
    """The files of a project by name; what resolvers ask (``ingest.base.Neighbours``)."""

    files: Mapping[str, SourceFile]
    _named: dict[str, list[ArtifactId]]
    _text: dict[str, bytes]

    @classmethod
    def of(cls, files: Mapping[str, SourceFile]) -> Files:
        """Index ``files`` by their last path component."""
        named: dict[str, list[ArtifactId]] = {}
        for name in sorted(files):
            named.setdefault(name.rpartition("/")[2], []).append(ArtifactId(name))
        return cls(files, named, {})

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def read(self, name: ArtifactId) -> bytes:
        """Return the bytes of a file."""
        if name not in self._text:
            self._text[name] = self.files[name].path.read_bytes()
        return self._text[name]

    def in_folder(self, folder: str) -> list[ArtifactId]:
        """Return all files below ``folder`` ("" is everything), sorted."""
        prefix = f"{folder}/" if folder else ""
        return [ArtifactId(n) for n in sorted(self.files) if n.startswith(prefix)]

    def named(self, basename: str) -> list[ArtifactId]:
        """Return all files whose last path component is ``basename``, sorted."""
        return self._named.get(basename, [])


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
    ) -> Loaded:
        """Read ``files`` and link them into a graph.

        ``dynamic`` maps globs of source files to globs of the files that they load by names that
        are computed or lie in strings; without an entry a computed name is ``unknown:``.

        Errors:
            InputError: a root, or a file given alone, is not what its name or signature says.
        """
        everything, kinds, unpacked = self._unpack(files)
        for file in everything.values():
            self.store.adopt(file.path, file.digest)
        readings = self._read(everything, kinds)
        names = frozenset(ArtifactId(r) for r in roots)
        _refuse_broken(readings, names if len(files) > 1 else frozenset(readings))
        graph = _assemble(everything, kinds, readings, names)
        linked = _link(graph, readings, Files.of(everything), conditions, dynamic or {})
        return Loaded(graph.with_artifacts(linked[0]).with_edges({*linked[1], *unpacked}), readings)

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

    def _read(
        self, files: Mapping[str, SourceFile], kinds: Mapping[str, Kind]
    ) -> dict[ArtifactId, Reading]:
        """Read all files: from the cache where they were read before, else in the executor."""
        codes = {kind: _code(kind) for kind in set(kinds.values())}
        keys = {
            n: action_key("read", codes[kinds[n]], kinds[n], f.digest) for n, f in files.items()
        }
        found = {key: self.cache.get(key) for key in set(keys.values())}
        todo: dict[Digest, _Work] = {}
        for name in sorted(files, key=lambda n: (-files[n].size, n)):  # the longest work first
            if found[keys[name]] is None:
                todo.setdefault(keys[name], _Work(str(files[name].path), kinds[name]))
        total = sum(Path(w.path).stat().st_size for w in todo.values())
        done = 0
        works = list(todo.items())
        for outcome in self.executor.run(read_file, [w for _, w in works]):
            key, work = works[outcome.index]
            found[key] = _pack(outcome.value or _unreadable(work, str(outcome.error)))
            if outcome.error is None:  # a crash or a time limit may not happen again
                self.cache.put(key, found[key])
            done += Path(work.path).stat().st_size
            self.progress.update("reading and measuring", done, total, "byte")
        unpacked = {key: _unpack_reading(document) for key, document in found.items()}
        return {ArtifactId(n): unpacked[keys[n]] for n in files}


@dataclass(frozen=True, slots=True)
class _Work:
    path: str
    kind: Kind


def read_file(work: _Work) -> Reading:
    """Read one file: its parts with every byte owned, its references, its measured sizes."""
    with Path(work.path).open("rb") as file:
        if Path(work.path).stat().st_size == 0:
            return _reading(memoryview(b""), Contents())
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            return _read_bytes(data, work.kind)


def _read_bytes(data: memoryview, kind: Kind) -> Reading:
    ingester = _ingester(kind)
    try:
        contents = ingester.read(data) if ingester else Contents()
    except InputError as error:
        contents = Contents(problems=(str(error),), facts=(("unreadable", str(error)),))
    return _reading(data, contents)


def _reading(data: memoryview, contents: Contents) -> Reading:
    contents = replace(contents, parts=_with_gaps(contents.parts, len(data)))
    ranges = [data[p.offset : p.offset + p.size] for p in contents.parts]
    try:
        parts = tuple((digest_of(r), compression.sizes(r)) for r in ranges)
    finally:
        for view in ranges:
            view.release()
    return Reading(contents, compression.sizes(data), parts)


def _with_gaps(parts: Sequence[Part], size: int) -> tuple[Part, ...]:
    """Return ``parts`` in file order with every gap filled, so that each byte has one owner."""
    filled: list[Part] = []
    at = 0
    for part in sorted((p for p in parts if p.size), key=lambda p: p.offset):
        if part.offset < at or part.offset + part.size > size:
            raise AssertionError(f"part {part.name} overlaps another or leaves the file")
        if part.offset > at:
            filled.append(Part(Kind.OTHER, f"{at}", at, Bytes(part.offset - at)))
        filled.append(part)
        at = part.offset + part.size
    if filled and at < size:
        filled.append(Part(Kind.OTHER, f"{at}", at, Bytes(size - at)))
    return tuple(filled)


def _unreadable(work: _Work, why: str) -> Reading:
    """Return the reading of a file whose ingester crashed: its bytes still have an owner."""
    data = Path(work.path).read_bytes()
    return _reading(memoryview(data), Contents(problems=(why,), facts=(("unreadable", why),)))


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
            artifacts[inner] = Artifact(inner, part.kind, digest, part.size)
            edges.append(Edge(owner, inner, Relation.CONTAINS))
    missing = sorted(roots - artifacts.keys())
    if missing:
        raise InputError(
            f"there is no file {missing[0]}", hint="correct the entry in vtool.toml or add the file"
        )
    return Graph(artifacts, frozenset(edges), roots)


def _link(
    graph: Graph,
    readings: Mapping[ArtifactId, Reading],
    files: Files,
    conditions: frozenset[str],
    dynamic: Mapping[str, Sequence[str]],
) -> tuple[list[Artifact], list[Edge]]:
    """Return the edges of all references, and artifacts for what is outside or unknown."""
    absent: dict[ArtifactId, Artifact] = {}
    edges: set[Edge] = set()
    declarations = _declarations(dynamic, files)
    for source in sorted(readings):
        ingester = _ingester(graph.artifacts[source].kind)
        if ingester is None:
            continue
        declared = [
            t for p, targets in declarations if fnmatch.fnmatchcase(source, p) for t in targets
        ]
        for reference in readings[source].contents.references:
            if declared and (reference.relation is Relation.DYNAMIC or reference.form == "path"):
                edges |= {Edge(source, t, Relation.DYNAMIC) for t in declared if t != source}
                continue
            targets = ingester.resolve(reference, source, files, conditions)
            if not targets:
                targets = list(_absent(reference, source, absent))
            edges |= {Edge(source, t, reference.relation) for t in targets if t != source}
    return list(absent.values()), sorted(edges)


def _declarations(
    dynamic: Mapping[str, Sequence[str]], files: Files
) -> list[tuple[str, list[ArtifactId]]]:
    """Return each declaration of vtool.toml: which sources it is for, and the files it means."""
    names = sorted(files.files)
    return [
        (pattern, [ArtifactId(n) for g in globs for n in fnmatch.filter(names, g)])
        for pattern, globs in dynamic.items()
    ]


def _absent(
    reference: Reference, source: ArtifactId, absent: dict[ArtifactId, Artifact]
) -> Iterator[ArtifactId]:
    """Yield a node for what is not among the files: somebody else's, or known only at run time.

    A bare path in a string that names no file is no claim that there is one: nothing is added.
    """
    if reference.form == "path" and reference.relation is not Relation.DYNAMIC:
        return
    if reference.relation is Relation.DYNAMIC:
        name, kind = (
            ArtifactId(f"unknown:{source}:{reference.line}:{reference.target}"),
            Kind.UNKNOWN,
        )
    else:
        name, kind = ArtifactId(f"external:{_outside(reference, source)}"), Kind.EXTERNAL
    absent[name] = Artifact(name, kind, digest_of(b""), Bytes(0))
    yield name


def _outside(reference: Reference, source: ArtifactId) -> str:
    """Return how to call a missing target: relative ones by their place in the project."""
    if not reference.target.startswith("."):
        return reference.target
    parts: list[str] = []
    for step in (PurePosixPath(source).parent / reference.target).parts:
        if step == "..":
            parts[-1:] = []
        elif step != ".":
            parts.append(step)
    return "/".join(parts)


_INGESTERS: dict[Kind, ModuleType] = {}


def _ingester(kind: Kind) -> Any:  # noqa: ANN401 - a module with the names of ingest.base.Ingester
    if not _INGESTERS:
        for name in plugins.names("ingest"):
            module = plugins.find("ingest", name)
            _INGESTERS.update(dict.fromkeys(module.KINDS, module))
    return _INGESTERS.get(kind)


def _code(kind: Kind) -> str:
    module = _ingester(kind)
    return source_digest(module.__name__ if module else "toolchain.ingest.base") + source_digest(
        "toolchain.formats.compression"
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _pack(reading: Reading) -> list[Any]:
    """Return a reading as compact JSON: a wasm module has tens of thousands of parts."""
    c = reading.contents
    return [
        _four(reading.sizes),
        [
            [p.kind, p.name, p.offset, p.size, digest, _four(sizes)]
            for p, (digest, sizes) in zip(c.parts, reading.parts, strict=True)
        ],
        [[r.target, r.relation, r.form, r.line] for r in c.references],
        [list(f) for f in c.facts],
        list(c.problems),
    ]


def _unpack_reading(document: Any) -> Reading:  # noqa: ANN401 - JSON
    sizes, parts, references, facts, problems = document
    contents = Contents(
        tuple(Part(Kind(k), n, o, Bytes(s)) for k, n, o, s, _, _ in parts),
        tuple(Reference(t, Relation(r), f, line) for t, r, f, line in references),
        tuple((k, v) for k, v in facts),
        tuple(problems),
    )
    return Reading(
        contents, Sizes(*sizes), tuple((Digest(d), Sizes(*s)) for _, _, _, _, d, s in parts)
    )


def _four(sizes: Sizes) -> list[int]:
    return [sizes.raw, sizes.gzip, sizes.brotli, sizes.zstd]
