"""Put a delta beside each changed file: ``app.js.1a2b3c4d5e6f7a8b.dcz``, for who has the old one.

What it does
    Compresses each file against the one that had its place in the last release (``vtool optimize
    --previous``), as the encoding ``dcz`` of RFC 9842, Compression Dictionary Transport. The name
    has the first 16 digits of the dictionary's SHA-256. ``vtool-headers.json`` in the result says
    which headers a server sends with it.

Why
    A browser that has the last release downloads what is new in this one, and not the whole file
    again: 0.4 to 38 % of brotli's bytes between releases of real packages (docs/deltas.md).

Keeps
    The file and its siblings, for everybody else. A delta only where it is ``least_saving`` and
    ``least_bytes`` smaller than the smallest sibling; none for a file that did not change. Within
    ``seconds`` of one core, as rules/compression.toml counts them: the costliest files are
    compressed with less effort, then left out.

Source
    Place: the same path, or the same path but for a hash of the content; of several such files the
    one whose delta is smallest. 10 %: ours; below, keeping one more file at a server costs more
    than it saves. 1,000 bytes: as in `compress`, less than one packet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from toolchain.analysis.succession import predecessors
from toolchain.formats.compression_dictionary import delta_name, encode_delta
from toolchain.formats.compression_effort import DeltaEffort, delta_ladder, within
from toolchain.ir import Artifact, ArtifactId, Digest, Edge, Graph, Kind, Relation, Store
from toolchain.passes.base import GraphPass
from toolchain.units import Bytes

_TRIED = 8  # ours: of the files that differ in a hash alone, those nearest in size
_GLANCE = 3  # zstd's level that tells which of several dictionaries fits best


@dataclass(frozen=True, slots=True)
class _Work:
    """A file, and what it may be compressed against."""

    file: Artifact
    dictionaries: tuple[Digest, ...]
    mb: float  # of the file and its largest dictionary
    most: int  # bytes a delta may have


@dataclass(frozen=True)
class Delta(GraphPass):
    """Add a delta to each file that ``previous`` (path -> SHA-256 of the last release) knows."""

    proof = "same-bytes"

    previous: Mapping[str, str] = field(default_factory=dict)
    least_saving: float = 0.1
    least_bytes: int = 1000
    seconds: float = 60.0

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with deltas and their edges added."""
        works = list(self._works(graph, store))
        efforts = self._efforts(works)
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            made = list(pool.map(lambda w, e: _delta(w, e, store), works, efforts))
        finally:  # without waiting: after Ctrl-C nobody wants what is still being compressed
            pool.shutdown(wait=False, cancel_futures=True)
        new = [(w.file, delta) for w, delta in zip(works, made, strict=True) if delta]
        new = [(file, delta) for file, delta in new if delta.id not in graph.artifacts]
        edges = (Edge(delta.id, file.id, Relation.DELTA) for file, delta in new)
        return graph.with_artifacts(d for _, d in new).with_edges(edges) if new else graph

    def _works(self, graph: Graph, store: Store) -> Iterator[_Work]:
        """Yield what there is to compress, the longest work first."""
        files = graph.files
        least = graph.least()
        place = predecessors(files, self.previous)
        unchanged = set(self.previous.values())
        for file in sorted(files.values(), key=lambda a: (-a.size, a.id)):
            plain = least[file.id]
            most = int(min(plain * (1 - self.least_saving), plain - self.least_bytes))
            if not place[file.id] or most <= 0 or file.digest in unchanged:
                continue
            sizes = {
                digest: len(store.get(digest))
                for digest in (Digest(self.previous[name]) for name in place[file.id])
            }
            near = sorted(sizes, key=lambda d: (abs(sizes[d] - file.size), d))[:_TRIED]
            mb = (file.size + max(sizes[d] for d in near)) / 1e6
            yield _Work(file, tuple(near), mb, most)

    def _efforts(self, works: list[_Work]) -> list[DeltaEffort | None]:
        """Return how hard to try for each; None: not at all, for want of time."""
        ladder = delta_ladder()
        costs = [[*(effort.seconds_per_mb * w.mb for effort in ladder), 0.0] for w in works]
        return [(*ladder, None)[rung] for rung in within(costs, self.seconds)]


def _delta(work: _Work, effort: DeltaEffort | None, store: Store) -> Artifact | None:
    if effort is None:
        return None
    data = store.get(work.file.digest)
    dictionaries = work.dictionaries
    if len(dictionaries) > 1:
        glances = {d: len(encode_delta(data, store.get(d), _GLANCE)) for d in dictionaries}
        dictionaries = (min(dictionaries, key=lambda d: (glances[d], d)),)
    delta = encode_delta(data, store.get(dictionaries[0]), effort.zstd)
    if len(delta) > work.most:
        return None
    name = ArtifactId(delta_name(work.file.id, dictionaries[0]))
    return Artifact(name, Kind.COMPRESSED, store.put(delta), Bytes(len(delta)))
