"""Proves that compressed siblings are the files they stand for.

What it does
    Decompresses every new sibling with its codec (gzip with zlib, not with the library that wrote
    it) and compares it with its file byte for byte; checks that it is smaller, that it has exactly
    one edge, to a file that was there, and that everything from before is still there unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from toolchain.errors import FormatError
from toolchain.formats.compression import SUFFIX, decode
from toolchain.ir import Artifact, Edge, Graph, Kind, Proof, Relation, Store

_CODEC = {suffix: codec for codec, suffix in SUFFIX.items()}


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare every sibling with its file; the detail names the first that differs."""
    del options  # whatever was compressed must come back
    new = sorted(after.edges - before.edges)
    problem = next(_structure(before, after), None)
    if problem is None:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = pool.map(lambda edge: _difference(edge, after, store), new)
            problem = next((p for p in found if p), None)
    detail = f"{len(new)} siblings decompress to their files"
    return Proof("same-bytes", holds=problem is None, detail=problem or detail)


def _structure(before: Graph, after: Graph) -> Iterator[str]:
    yield from after.problems()
    if after.roots != before.roots:
        yield f"root {min(after.roots ^ before.roots)} is not the same"
    for name, artifact in before.artifacts.items():
        if after.artifacts.get(name) != artifact:
            yield f"{name} is not what it was"
    for edge in before.edges - after.edges:
        yield f"the edge {edge.source} -> {edge.target} ({edge.relation}) is gone"
    yield from _odd_siblings(before, after)


def _odd_siblings(before: Graph, after: Graph) -> Iterator[str]:
    added = after.artifacts.keys() - before.artifacts.keys()
    new = after.edges - before.edges
    sources = sorted(e.source for e in new)
    files = before.files
    if sources != sorted(added):
        yield f"{len(added)} new artifacts have {len(sources)} new edges"
    for edge in new:
        sibling = after.artifacts[edge.source]
        if edge.relation is not Relation.ENCODES or sibling.kind is not Kind.COMPRESSED:
            yield f"{edge.source} is no compressed sibling ({edge.relation})"
        if edge.target not in files:
            yield f"{edge.source} encodes {edge.target}, which is no file of its own"


def _difference(edge: Edge, graph: Graph, store: Store) -> str:
    """Return what is wrong with a sibling; nothing if it is right."""
    sibling, file = graph.artifacts[edge.source], graph.artifacts[edge.target]
    suffix = next((s for s in _CODEC if sibling.id == file.id + s), None)
    if suffix is None:
        return f"{sibling.id} is not called like {file.id}"
    if sibling.size >= file.size:
        return f"{sibling.id} is not smaller than {file.id}"
    return _content_difference(sibling, file, store, suffix)


def _content_difference(sibling: Artifact, file: Artifact, store: Store, suffix: str) -> str:
    data = store.get(sibling.digest)
    if len(data) != sibling.size:
        return f"{sibling.id} has {len(data)} bytes, not {sibling.size}"
    try:
        same = decode(data, _CODEC[suffix], file.size) == store.get(file.digest)
    except FormatError as error:
        return f"{sibling.id}: {error}"
    return "" if same else f"{sibling.id} decompresses to other bytes than {file.id}"
