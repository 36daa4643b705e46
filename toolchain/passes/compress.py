"""Put compressed siblings beside each file: ``app.js.br``, ``app.js.gz``, ``app.js.zst``.

What it does
    Compresses every file of the chosen kinds ahead of time, as hard as its class and size allow
    (rules/compression.toml), so that a server sends ready bytes (nginx ``gzip_static`` and
    ``brotli_static``, Caddy ``precompressed``). gzip is the smaller one of libdeflate's and, with
    ``zopfli``, zopfli's.

Why
    Brotli 11 sends script and WebAssembly in 20-25 % of their size, 15 % less than what servers do
    while the client waits; but it takes 2 s a megabyte, which only a build has.

Keeps
    The file itself, for clients that decode nothing. A sibling only where it saves at least 1 % of
    the file; each codec for itself, since a client may know only gzip. Files under ``least_bytes``:
    a response this small is one packet either way. Siblings that are there already. Within
    ``seconds`` of one core, as the rules count them: the costliest files get less effort.

Source
    Effort by class: measured, see the rules. 120 s: ours, a minute on two cores.
    1,000 bytes: where Amazon CloudFront's compression starts. 1 %: ours; below, decoding costs more
    than it saves.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from toolchain.formats.compression import SUFFIX, Codec, encode, zopfli_gzip
from toolchain.formats.compression_effort import Effort, ladder, within
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, Store
from toolchain.passes.base import GraphPass
from toolchain.units import Bytes

_CODE = frozenset({Kind.JS, Kind.JSON, Kind.CSS, Kind.HTML, Kind.WASM, Kind.TEXT})
_MODELS = frozenset({Kind.ONNX, Kind.ORT, Kind.GGUF, Kind.DATA})
_NATIVE = frozenset({Kind.ELF, Kind.MACHO, Kind.PE})

_LEAST_SAVING = 0.01


@dataclass(frozen=True)
class Compress(GraphPass):
    """Add a sibling for each codec that is on, to files of ``kinds`` of ``least_bytes`` or more."""

    proof = "same-bytes"

    gzip: bool = True
    brotli: bool = True
    zstd: bool = True
    kinds: tuple[Kind, ...] = tuple(sorted(_CODE | _MODELS | _NATIVE))
    least_bytes: int = 1000
    zopfli: bool = True
    seconds: float = 120.0

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with siblings and their edges added."""
        chosen = [
            a for a in graph.files.values() if a.kind in self.kinds and a.size >= self.least_bytes
        ]
        chosen.sort(key=lambda a: (-a.size, a.id))  # the longest work first
        efforts = self._efforts(chosen)
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            made = pool.map(lambda a, e: self._siblings(a, e, graph, store), chosen, efforts)
            siblings = [(a, file) for file, group in zip(chosen, made, strict=True) for a in group]
        finally:  # without waiting: after Ctrl-C nobody wants what is still being compressed
            pool.shutdown(wait=False, cancel_futures=True)
        if not siblings:
            return graph
        edges = (Edge(a.id, file.id, Relation.ENCODES) for a, file in siblings)
        return graph.with_artifacts(a for a, _ in siblings).with_edges(edges)

    def _efforts(self, files: list[Artifact]) -> list[Effort]:
        """Return how hard to try for each file, so that all take ``seconds`` at most."""
        ladders = [ladder(file.kind, file.size) for file in files]
        costs = [
            [effort.seconds_per_mb * file.size / 1e6 for effort in efforts]
            for file, efforts in zip(files, ladders, strict=True)
        ]
        rungs = within(costs, self.seconds)
        chosen = [efforts[rung] for efforts, rung in zip(ladders, rungs, strict=True)]
        return chosen if self.zopfli else [replace(effort, zopfli=0) for effort in chosen]

    def _siblings(
        self, file: Artifact, effort: Effort, graph: Graph, store: Store
    ) -> list[Artifact]:
        free = [c for c in self._codecs() if _sibling(file.id, c) not in graph.artifacts]
        if not free:
            return []
        encoded = encode_file(store.get(file.digest), free, effort)
        return [
            Artifact(_sibling(file.id, codec), Kind.COMPRESSED, store.put(data), Bytes(len(data)))
            for codec, data in encoded.items()
        ]

    def _codecs(self) -> list[Codec]:
        wanted = {Codec.GZIP: self.gzip, Codec.BROTLI: self.brotli, Codec.ZSTD: self.zstd}
        return [codec for codec in Codec if wanted[codec]]


def effort_of(file: Artifact) -> Effort:
    """Return how hard to try for ``file`` if there is time."""
    return ladder(file.kind, file.size)[0]


def encode_file(data: bytes, codecs: Iterable[Codec], effort: Effort) -> dict[Codec, bytes]:
    """Return ``data`` in each of ``codecs`` that saves at least 1 %."""
    level = {Codec.GZIP: effort.gzip, Codec.BROTLI: effort.brotli, Codec.ZSTD: effort.zstd}
    encoded = {codec: encode(data, codec, level[codec]) for codec in codecs}
    if effort.zopfli and Codec.GZIP in encoded:
        encoded[Codec.GZIP] = min(encoded[Codec.GZIP], zopfli_gzip(data, effort.zopfli), key=len)
    most = len(data) * (1 - _LEAST_SAVING)
    return {codec: made for codec, made in encoded.items() if len(made) <= most}


def _sibling(name: ArtifactId, codec: Codec) -> ArtifactId:
    return ArtifactId(name + SUFFIX[codec])
