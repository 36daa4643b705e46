"""Remove the files that nothing in the application can load.

What it does
    Starts at the roots, follows every import, worker, fetch, needed library and candidate of a
    name that is only partly known, and drops the files it does not come to.

Why
    A package ships every build for every consumer: of onnxruntime-web's 145 MB an application
    loads one script and one WebAssembly file.

Keeps
    Where a module loads a name that nobody can know before it runs, every file of its own package
    that such a name may stand for. ``package.json`` of a script that stays, since Node.js reads
    there whether it is a module; ``tsconfig.json`` of a source that is still to be compiled, with
    all that it extends. Licences and notices of every package that still ships a file
    (``keep_licences``). Files that match a glob in ``keep``, here or in ``vtool.toml``, with all
    they need. And everything,
    where the graph has no roots: then nobody said what the application is.

Source
    Mark and sweep. package.json: Node.js documentation, "Determining module system".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from toolchain.analysis.shipping import needed
from toolchain.formats.javascript import read
from toolchain.formats.node_resolution import Resolver
from toolchain.formats.tsconfig import TsConfig, config_of
from toolchain.installed import GraphFiles
from toolchain.ir import ArtifactId, Graph, Kind, Store
from toolchain.passes.base import GraphPass

_IMPORTS = frozenset({"import", "require", "import()"})
_COMPILED = frozenset({".ts", ".tsx", ".mts", ".cts", ".jsx"})


@dataclass(frozen=True)
class DropUnreachable(GraphPass):
    """Drop what no root reaches; ``keep`` are globs on whole ids in which ``*`` spans folders."""

    proof = "same-reach"

    keep: tuple[str, ...] = ()
    keep_licences: bool = True

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` less the files that nothing can load."""
        wanted = {i for i in graph.artifacts if any(fnmatchcase(i, glob) for glob in self.keep)}
        found = needed(graph, wanted, licences=self.keep_licences)
        return graph.keep(found | _configurations(graph, found, store))


def _configurations(graph: Graph, found: Iterable[ArtifactId], store: Store) -> set[ArtifactId]:
    """Return what says how the sources in ``found`` are compiled, and what they import."""
    files = GraphFiles(graph, store)
    wanted: set[str] = set()
    for source in found:
        is_compiled = PurePosixPath(source).suffix in _COMPILED
        if not is_compiled and graph.artifacts[source].kind is not Kind.JS:
            continue
        config = config_of(source, files)
        if config is None or wanted.issuperset(config.files):
            continue
        if is_compiled or _has_aliases(source, config, files):
            wanted.update(config.files)
    homes = (Resolver(files, frozenset()).package_of(n) for n in wanted if "node_modules/" in n)
    wanted |= {f"{home[0]}/package.json" for home in homes if home}  # it may say where they are
    return {ArtifactId(name) for name in wanted}


def _has_aliases(source: ArtifactId, config: TsConfig, files: GraphFiles) -> bool:
    """Whether a script imports something that only its configuration gives a meaning."""
    if not config.paths and config.base is None:
        return False
    resolver = Resolver(files, frozenset())
    mentions = read(files.read(source)).mentions
    return any(resolver.is_aliased(m.target, source) for m in mentions if m.how in _IMPORTS)
