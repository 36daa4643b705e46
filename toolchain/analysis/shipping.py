"""What an application must ship: what its roots may load, and what goes along with that."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from toolchain.analysis.packages import is_notice, package_of
from toolchain.analysis.reachability import loadable
from toolchain.ir import ArtifactId, Graph, Kind

_SCRIPTS = frozenset({Kind.JS, Kind.TS})


def needed(
    graph: Graph, more: Collection[ArtifactId] = frozenset(), *, licences: bool = True
) -> frozenset[ArtifactId]:
    """Return what the roots, and ``more`` beside them, may load, and what goes along with it.

    That is each ``package.json`` above a script, which says how its package is loaded, and
    (``licences``) the licences and notices of every package of which a file ships; each with its
    siblings and members. Where the graph has no roots nobody said what the application is, and
    everything is needed.
    """
    if not graph.roots:
        return frozenset(graph.artifacts)
    found = loadable(graph, more)
    along = set(_package_files(graph, found)) | found
    if licences:
        shipped = {package_of(i) for i in along & graph.files.keys()}
        along |= {
            a.id for a in graph.artifacts.values() if is_notice(a) and package_of(a.id) in shipped
        }
    return loadable(graph, along)


def _package_files(graph: Graph, found: frozenset[ArtifactId]) -> Iterator[ArtifactId]:
    """Yield every package.json above each script in ``found``, up to that of its package.

    The nearest says whether the script is a module; that of the package, which may be further up
    (@babel/runtime has one in ``helpers/esm``), what its exports are; one above packages of the
    project, that they are its workspaces.
    """
    scripts = (i for i in found if graph.artifacts[i].kind in _SCRIPTS)
    for folder, package in {(i.rpartition("/")[0], package_of(i)) for i in scripts}:
        above = folder
        while True:
            name = ArtifactId(f"{above}/package.json" if above else "package.json")
            if name in graph.artifacts:
                yield name
            if not above or ("node_modules/" in package and above == package):
                break
            above = above.rpartition("/")[0]
