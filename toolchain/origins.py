"""Where each place of an edited module was: a source map beside the module, which never ships.

A pass that edits modules says what it replaced. The map of a module always leads to the module as
it came in, through all passes before; who bundles the module composes it with the bundler's map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from toolchain.formats.sourcemap import Origin, Place, SourceMap, compose, dump, parse
from toolchain.formats.sourcemap_edits import as_map, edited_text
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, Store
from toolchain.units import Bytes

Edits = Mapping[tuple[int, int], str]
"""Byte ranges of a text, none over another, and what stands there then."""
_FOLDER = "source-maps"  # emit's own, so that no file of a project is called so


def with_origins(
    before: Graph, after: Graph, store: Store, edits: Mapping[ArtifactId, Edits | None]
) -> Graph:
    """Return ``after`` with a map for each module of ``before`` that was edited.

    None instead of edits: nothing is left of the module, so its new text came from nowhere.
    """
    maps = {name: _map(before, store, name, made) for name, made in edits.items()}
    edges = {Edge(made.id, name, Relation.MAPS) for name, made in maps.items()}
    gone = {e for e in after.edges if e.relation is Relation.MAPS and e.target in edits}
    others = after.keep(after.artifacts.keys() - {e.source for e in gone})
    return others.with_artifacts(maps.values()).with_edges(edges)


def _map(before: Graph, store: Store, name: ArtifactId, edits: Edits | None) -> Artifact:
    found = SourceMap((), (), ())
    if edits is not None:
        data = store.get(before.artifacts[name].digest)
        found = as_map(edited_text(name, data, edits))
        earlier = before.maps().get(name)
        if earlier is not None:
            found = compose(found, {name: parse(store.get(earlier.digest)).original})
    data = dump(found)
    return Artifact(
        ArtifactId(f"{_FOLDER}/{name}.map"), Kind.SOURCEMAP, store.put(data), Bytes(len(data))
    )


def origins(graph: Graph, store: Store) -> dict[str, Origin]:
    """Return for each module that was edited where its places were; maps are read when asked."""
    return {str(name): _origin(store, made) for name, made in graph.maps().items()}


def _origin(store: Store, made: Artifact) -> Origin:
    @cache
    def found() -> SourceMap:
        return parse(store.get(made.digest))

    return lambda line, column: found().original(line, column)


def chained(first: Origin | None, second: Origin | None) -> Origin | None:
    """Return where places were before both of two rewrites, of which either may be none."""
    if first is None or second is None:
        return first or second

    def original(line: int, column: int) -> Place | None:
        place = first(line, column)
        return second(place.line, place.column) if place else None

    return original
