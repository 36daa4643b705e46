"""Which modules become bundles of their own: roots, and what is started beside the page."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath
from posixpath import dirname, join, normpath

from toolchain.bundling.rewiring import ABSENT, IMPORTS
from toolchain.formats.javascript import Mention, read
from toolchain.formats.javascript_addresses import needs_itself
from toolchain.formats.javascript_text import path_in
from toolchain.ir import OWNERSHIP, ArtifactId, Graph, Kind, Relation, Store

SCRIPTS = frozenset({Kind.JS, Kind.TS})


def entries(graph: Graph, store: Store, outdir: str) -> dict[str, ArtifactId]:
    """Return the modules to bundle by the names of their bundles, without extension."""
    scripts = sorted(r for r in graph.roots if graph.artifacts[r].kind in SCRIPTS)
    roots = [r for r in scripts if not is_bundle(r, graph, outdir)]
    if not roots:
        return {}
    found: dict[str, ArtifactId] = {}
    for module in [*roots, *sorted(_beside(graph, store) - set(roots))]:
        path = PurePosixPath(module)
        short, long = path.stem, "-".join(path.with_suffix("").parts)
        found[long if short in found else short] = module
    return found


def is_bundle(root: ArtifactId, graph: Graph, outdir: str) -> bool:
    """Whether a root lies in ``outdir`` with all it imports: it was bundled before."""
    return graph.artifacts[root].kind is Kind.JS and all(
        PurePosixPath(i).parent == PurePosixPath(outdir)
        for i in {root, *graph.targets(root, *IMPORTS.values())}
        if graph.artifacts[i].kind not in ABSENT
    )


def _beside(graph: Graph, store: Store) -> set[ArtifactId]:
    """Return the workers and worklets that can be bundled.

    One in TypeScript must be, since no browser runs it. One in JavaScript is, where everybody who
    names it starts it as a module at an address relative to himself, which the bundler rewrites.
    What is started by a plain name stays a file of that name; so does what names itself, as the
    glue of Emscripten does to start its threads.
    """
    users: dict[ArtifactId, set[ArtifactId]] = defaultdict(set)
    otherwise: set[ArtifactId] = set()  # read, imported, or named by what is computed
    for edge in graph.edges:
        if edge.relation is Relation.WORKER:
            users[edge.target].add(edge.source)
        elif edge.relation not in OWNERSHIP:
            otherwise.add(edge.target)
    return {
        target
        for target, by in users.items()
        if graph.artifacts[target].kind is Kind.TS
        or (
            graph.artifacts[target].kind is Kind.JS
            and target not in otherwise
            and not _names_itself(target, graph, store)
            and all(_starts_module(user, target, graph, store) for user in by)
        )
    }


def _names_itself(module: ArtifactId, graph: Graph, store: Store) -> bool:
    data = store.get(graph.artifacts[module].digest)
    return needs_itself(data) or bool(_names(module, module, graph, store))


def _starts_module(user: ArtifactId, target: ArtifactId, graph: Graph, store: Store) -> bool:
    """Whether ``user`` only ever starts ``target`` as a module, at an address of its own."""
    mentions = _names(user, target, graph, store)
    return bool(mentions) and all(m.how == "worker url" and m.module for m in mentions)


def _names(user: ArtifactId, target: ArtifactId, graph: Graph, store: Store) -> list[Mention]:
    """Return where ``user`` names ``target``, or may."""
    if graph.artifacts[user].kind not in SCRIPTS:
        return []
    found = read(store.get(graph.artifacts[user].digest)).mentions
    return [m for m in found if _may_mean(m, user, target)]


def _may_mean(mention: Mention, user: ArtifactId, target: ArtifactId) -> bool:
    path = path_in(mention.target)
    if normpath(join(dirname(user), path)) == target:
        return True
    # a plain string may be read as a path from anywhere
    return mention.how in {"string", "worker"} and path.rpartition("/")[2] == (
        PurePosixPath(target).name
    )
