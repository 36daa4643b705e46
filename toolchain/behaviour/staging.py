"""Lays an application out in a folder so that its scenario can be played."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from posixpath import dirname, join

from toolchain.analysis.reachability import reachable
from toolchain.formats import esbuild
from toolchain.formats.code_folder import CODE_KINDS, code_folder
from toolchain.formats.laid_out import lay_out
from toolchain.formats.node_resolution import Resolver
from toolchain.formats.unbundled import unbundled
from toolchain.ir import Artifact, ArtifactId, DirectoryStore, Graph, Kind, Play, Store
from toolchain.sources.tools import tool

SCRIPTS = frozenset({Kind.JS, Kind.TS})
PROGRAM, SCENARIO = "program", "scenario"
_MODULES = b'{"type": "module"}\n'


@dataclass(frozen=True, slots=True)
class Staged:
    """A program and its scenario in one folder; the paths of both starts are relative to it."""

    folder: Path
    script: str
    entry: str
    commonjs: tuple[str, ...] = ()  # modules in it that no browser can load
    paths: Mapping[str, str] = field(default_factory=dict)  # of modules that are named otherwise


def entries(graph: Graph) -> list[ArtifactId]:
    """Return the scripts among the roots, sorted."""
    return sorted(r for r in graph.roots if graph.artifacts[r].kind in SCRIPTS)


def successor(root: ArtifactId, before: Graph, after: Graph) -> ArtifactId | None:
    """Return what stands for a root of ``before``: itself, else the new root of its name."""
    if root in after.artifacts:
        return root
    path = PurePosixPath(root)
    new = [r for r in entries(after) if r not in before.roots]
    for name in (path.stem, "-".join(path.with_suffix("").parts)):
        for candidate in new:
            if PurePosixPath(candidate).stem == name:
                return candidate
    return None


@contextmanager
def unbundled_stage(graph: Graph, store: Store, play: Play, entry: ArtifactId) -> Iterator[Staged]:
    """Lay out ``graph`` with every module a file of its own; the folder is gone afterwards.

    Errors:
        InputError: TypeScript with a syntax error, a path that leads out of the project.
        UnavailableError: the folder cannot be written.
    """
    used = reachable(graph)
    code = [a for i, a in graph.files.items() if a.kind in SCRIPTS and i in used]
    resolver = Resolver(GraphFiles(graph, store), frozenset(play.conditions))
    with (
        code_folder([*code, *_settings(graph)], store) as folder,
        esbuild.service(tool("esbuild")) as service,
    ):
        made = unbundled(folder, [str(a.id) for a in code], resolver, service)
    with _stage(graph, store, play, made.files) as staged:
        start = join(PROGRAM, made.paths.get(entry, entry))
        yield Staged(staged, join(SCENARIO, play.script), start, made.commonjs, made.paths)


@contextmanager
def bundled_stage(graph: Graph, store: Store, play: Play, entry: ArtifactId) -> Iterator[Staged]:
    """Lay out ``graph`` as it ships; errors as ``unbundled_stage``."""
    package = join(dirname(entry), "package.json")
    added = (
        {} if package in graph.artifacts else {package: _MODULES}
    )  # a page needs none, node does
    with _stage(graph, store, play, added) as staged:
        yield Staged(staged, join(SCENARIO, play.script), join(PROGRAM, entry))


@contextmanager
def _stage(graph: Graph, store: Store, play: Play, instead: Mapping[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vtool-play-") as name:
        folder = Path(name).resolve()
        files: dict[str, bytes | Path] = {
            str(i): _content(a, store) for i, a in graph.files.items() if i not in instead
        }
        lay_out(folder / PROGRAM, {**files, **instead})
        lay_out(folder / SCENARIO, {n: p.read_bytes() for n, p in play.files.items()})
        yield folder


def _content(artifact: Artifact, store: Store) -> bytes | Path:
    if isinstance(store, DirectoryStore) and artifact.kind not in CODE_KINDS:
        return store.path(artifact.digest)
    return store.get(artifact.digest)


def _settings(graph: Graph) -> list[Artifact]:
    """Return the files that say how TypeScript is compiled."""
    return [a for i, a in graph.files.items() if i.endswith(".json") and "tsconfig" in i]


class GraphFiles:
    """A graph's files as the resolver asks for them."""

    def __init__(self, graph: Graph, store: Store) -> None:
        self._files, self._store = graph.files, store

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def read(self, name: str, /) -> bytes:
        """Return the bytes of a file."""
        return self._store.get(self._files[ArtifactId(name)].digest)
