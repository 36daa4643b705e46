"""Proves that compressed siblings and deltas are the files they stand for.

What it does
    Decompresses every new sibling with its codec (gzip with zlib, not with the library that wrote
    it) and compares it with its file byte for byte; a delta with the file of the previous release
    that it names itself, and that must be one of the pass's ``previous``, in no more room than
    every client has. Checks that it is smaller, that it has exactly one edge, to a file that was
    there, and that everything from before is still there unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from toolchain.errors import FormatError
from toolchain.formats.compression import SUFFIX, Codec, decode
from toolchain.formats.compression_dictionary import decode_delta, delta_name, dictionary_of
from toolchain.ir import Artifact, Edge, Graph, Kind, Proof, Relation, Store
from toolchain.units import Bytes, show_bytes

_CODEC = {suffix: codec for codec, suffix in SUFFIX.items()}
_FORMS = frozenset({Relation.ENCODES, Relation.DELTA})


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare every sibling with its file; the detail names the first that differs."""
    new = sorted(after.edges - before.edges)
    given = options.get("previous")
    previous = dict(given) if isinstance(given, Mapping) else None
    dictionaries = frozenset(previous.values()) if previous is not None else frozenset()
    problem = next(_structure(before, after), None)
    if problem is None and new:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = pool.map(lambda edge: _difference(edge, after, store, dictionaries), new)
            problem = next((p for p in found if p), None)
    told = f"{len(new)} siblings decompress to their files"
    if previous is not None and problem is None:
        told = _update(after, frozenset(map(str, dictionaries)))
    return Proof("same-bytes", holds=problem is None, detail=problem or told)


def _update(after: Graph, known: frozenset[str]) -> str:
    """Return what the deltas are worth to somebody who has the last release."""
    files, least = after.files, after.least()
    deltas = {
        e.target: after.artifacts[e.source].size
        for e in after.edges
        if e.relation is Relation.DELTA
    }
    changed = [i for i, a in files.items() if a.digest not in known]
    plain = show_bytes(Bytes(sum(least[i] for i in changed)))
    ours = show_bytes(Bytes(sum(min(least[i], deltas.get(i, least[i])) for i in changed)))
    return (
        f"{len(deltas)} deltas give back their files; who has the last release downloads {ours} "
        f"instead of {plain}, as {len(changed)} of {len(files)} files changed"
    )


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
        if edge.relation not in _FORMS or sibling.kind is not Kind.COMPRESSED:
            yield f"{edge.source} is no compressed sibling ({edge.relation})"
        if edge.target not in files:
            yield f"{edge.source} encodes {edge.target}, which is no file of its own"


def _difference(edge: Edge, graph: Graph, store: Store, dictionaries: frozenset[object]) -> str:
    """Return what is wrong with a sibling or a delta; nothing if it is right."""
    sibling, file = graph.artifacts[edge.source], graph.artifacts[edge.target]
    if sibling.size >= file.size:
        return f"{sibling.id} is not smaller than {file.id}"
    data = store.get(sibling.digest)
    if len(data) != sibling.size:
        return f"{sibling.id} has {len(data)} bytes, not {sibling.size}"
    try:
        if edge.relation is Relation.DELTA:
            decoded = _with_dictionary(sibling, file, store, dictionaries)
        else:
            decoded = decode(data, _codec(sibling, file), file.size)
    except FormatError as error:
        return f"{sibling.id}: {error}"
    except _OddError as error:
        return str(error)
    same = decoded == store.get(file.digest)
    return "" if same else f"{sibling.id} decompresses to other bytes than {file.id}"


class _OddError(Exception):
    """A sibling that is no sibling, whatever is in it."""


def _codec(sibling: Artifact, file: Artifact) -> Codec:
    suffix = next((s for s in _CODEC if sibling.id == file.id + s), None)
    if suffix is None:
        raise _OddError(f"{sibling.id} is not called like {file.id}")
    return _CODEC[suffix]


def _with_dictionary(
    delta: Artifact, file: Artifact, store: Store, dictionaries: frozenset[object]
) -> bytes:
    """Decode a delta with the dictionary that it names itself, as a client does."""
    data = store.get(delta.digest)
    dictionary = dictionary_of(data)
    if dictionary not in dictionaries:
        raise _OddError(f"{delta.id} needs {dictionary}, which the last release does not have")
    if delta.id != delta_name(file.id, dictionary):
        raise _OddError(f"{delta.id} is not called like {file.id} and its dictionary")
    return decode_delta(data, store.get(dictionary), file.size)
