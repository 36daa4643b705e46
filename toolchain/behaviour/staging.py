"""Lays an application out in a folder so that its scenario can be played."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from posixpath import dirname, join

from toolchain.analysis.reachability import reachable
from toolchain.errors import ConfigError
from toolchain.formats import esbuild
from toolchain.formats.code_folder import CODE_KINDS, code_folder
from toolchain.formats.esbuild_plugins import AddressesStayRight
from toolchain.formats.laid_out import lay_out
from toolchain.formats.node_resolution import Resolver
from toolchain.formats.sourcemap import SourceMap
from toolchain.formats.unbundled import joined, unbundled
from toolchain.installed import GraphFiles
from toolchain.ir import Artifact, ArtifactId, DirectoryStore, Graph, Kind, Play, Store
from toolchain.sources.tools import tool

SCRIPTS = frozenset({Kind.JS, Kind.TS})
PROGRAM, SCENARIO = "program", "scenario"
_JOINED = "vtool-joined"  # a folder beside those of the program
_MODULES = b'{"type": "module"}\n'


@dataclass(frozen=True, slots=True)
class Staged:
    """A program and its scenario in one folder; the paths of both starts are relative to it."""

    folder: Path
    script: str
    entry: str
    code: frozenset[str] = frozenset()  # paths of the modules, relative to the program
    joined: tuple[str, ...] = ()  # CommonJS modules, for which all code is in one file
    paths: Mapping[str, str] = field(default_factory=dict)  # of modules that are named otherwise
    maps: Mapping[str, SourceMap] = field(default_factory=dict)  # of scripts with several modules


def entries(graph: Graph) -> list[ArtifactId]:
    """Return the scripts among the roots, sorted."""
    return sorted(r for r in graph.roots if graph.artifacts[r].kind in SCRIPTS)


def entry_of(graph: Graph, play: Play) -> ArtifactId:
    """Return the script that ``play`` drives.

    Errors:
        ConfigError: it names none of the project's, or none of several.
    """
    known = entries(graph)
    chosen = [r for r in known if play.entry in {"", r}]
    if len(chosen) != 1:
        wrong = f"{play.entry!r} is no entry of the project" if play.entry else "it is missing"
        raise ConfigError(
            f"scenario.entry: {wrong}", hint=f"entries: {', '.join(known)[:200] or 'none'}"
        )
    return chosen[0]


def successor(root: ArtifactId, before: Graph, after: Graph) -> ArtifactId | None:
    """Return what stands for a root of ``before``: itself, else the new root of its name.

    A source that is still there to be fetched, and that nothing starts any more, is not what runs.
    """
    if root in after.roots:
        return root
    path = PurePosixPath(root)
    new = [r for r in entries(after) if r not in before.roots]
    for name in (path.stem, "-".join(path.with_suffix("").parts)):
        for candidate in new:
            if PurePosixPath(candidate).stem == name:
                return candidate
    return None


@contextmanager
def unbundled_stage(
    graph: Graph, store: Store, play: Play, entry: ArtifactId, *, page: bool = False
) -> Iterator[Staged]:
    """Lay out ``graph`` with every module a file of its own; the folder is gone afterwards.

    For a ``page``, which loads no CommonJS, a program with such modules is one file instead, with
    all their code in it.

    Errors:
        InputError: code with a syntax error, a path that leads out of the project.
        UnavailableError: the folder cannot be written.
    """
    used = reachable(graph)
    code = [a for i, a in graph.files.items() if a.kind in SCRIPTS and i in used]
    conditions = frozenset(play.conditions)
    resolver = Resolver(GraphFiles(graph, store), conditions)
    with (
        code_folder(graph.files.values(), store) as folder,
        esbuild.service(tool("esbuild")) as service,
    ):
        made = unbundled(folder, [str(a.id) for a in code], resolver, service, play.mode)
        files, start = dict(made.files), made.paths.get(entry, entry)
        one_file = page and bool(made.commonjs)
        maps: Mapping[str, SourceMap] = {}
        if one_file:
            start = f"{_JOINED}/{PurePosixPath(entry).stem}.js"
            moved = {**made.paths, entry: start}
            plugin = AddressesStayRight(folder, graph.files, conditions, moved, _JOINED)
            whole = joined(folder, entry, service, plugin, (_JOINED, play.mode))
            files, maps = {**files, **whole.files}, whole.maps
    with _stage(graph, store, play, files) as staged:
        yield Staged(
            staged,
            join(SCENARIO, play.script),
            join(PROGRAM, start),
            frozenset({*files, start}),
            made.commonjs if one_file else (),
            made.paths,
            maps,
        )


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
