"""Resolves what files refer to into edges; what is not there becomes external or unknown."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from toolchain.ingest.base import Reference
from toolchain.ir import Artifact, ArtifactId, Edge, Kind, Relation, digest_of
from toolchain.reading import Reading, ingester_of
from toolchain.sources.tree import SourceFile
from toolchain.units import Bytes


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
class Linker:
    """Resolves references among ``files``; ``absent`` collects the nodes for what is not there."""

    files: Files
    kinds: Mapping[str, Kind]
    conditions: frozenset[str]
    declared: Sequence[tuple[str, Sequence[ArtifactId]]]  # sources and what their names mean
    absent: dict[ArtifactId, Artifact] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        files: Mapping[str, SourceFile],
        kinds: Mapping[str, Kind],
        conditions: frozenset[str],
        dynamic: Mapping[str, Sequence[str]],
    ) -> Linker:
        """Return a linker; ``dynamic`` maps globs of sources to globs of the files they mean."""
        names = sorted(files)
        declared = [
            (pattern, [ArtifactId(n) for g in globs for n in fnmatch.filter(names, g)])
            for pattern, globs in dynamic.items()
        ]
        return cls(Files.of(files), kinds, conditions, declared)

    def link(
        self, sources: Iterable[ArtifactId], readings: Mapping[ArtifactId, Reading]
    ) -> set[Edge]:
        """Return the edges of all references in ``sources``."""
        edges: set[Edge] = set()
        for source in sorted(sources):
            edges |= self._link(source, readings[source].contents.references)
        return edges

    def _link(self, source: ArtifactId, references: Sequence[Reference]) -> set[Edge]:
        edges: set[Edge] = set()
        ingester = ingester_of(self.kinds[source])
        declared = [
            t for p, targets in self.declared if fnmatch.fnmatchcase(source, p) for t in targets
        ]
        for reference in references:
            if declared and (reference.relation is Relation.DYNAMIC or reference.form == "path"):
                edges |= {Edge(source, t, Relation.DYNAMIC) for t in declared if t != source}
                continue
            targets = ingester.resolve(reference, source, self.files, self.conditions)
            if targets is None:
                continue
            if not targets:
                targets = list(_absent(reference, source, self.absent))
            edges |= {Edge(source, t, reference.relation) for t in targets if t != source}
        return edges


def _absent(
    reference: Reference, source: ArtifactId, absent: dict[ArtifactId, Artifact]
) -> Iterator[ArtifactId]:
    """Yield a node for what is not among the files: somebody else's, or known only at run time.

    A bare path in a string that names no file is no claim that there is one: nothing is added. JSX
    names nothing, and may be compiled into calls of what is in scope.
    """
    if reference.form == "exact":
        return
    if reference.form in {"path", "jsx"} and reference.relation is not Relation.DYNAMIC:
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
