"""Put compressed siblings beside each file: ``app.js.br``, ``app.js.gz``, ``app.js.zst``.

What it does
    Compresses every file of the chosen kinds ahead of time, as hard as its size allows, so that a
    server sends ready bytes (nginx ``gzip_static`` and ``brotli_static``, Caddy ``precompressed``).

Why
    Brotli 11 sends script and WebAssembly in 20-25 % of their size, 15 % less than what servers do
    while the client waits; but it takes 2 s a megabyte, which only a build has.

Keeps
    The file itself, for clients that decode nothing. A sibling only where it saves at least 1 % of
    the file; each codec for itself, since a client may know only gzip. Files under ``least_bytes``:
    a response this small is one packet either way. Siblings that are there already.

Source
    Effort by size. Seconds of one core (2.5 GHz, shared) a megabyte, and how much larger than BEST,
    measured on sherpa-onnx.wasm (12 MB), libonnxruntime.so (27 MB) and Moonshine's decoder (30 MB):

    ======  ==================  =======================  =====================
    effort  gzip                brotli                   zstd
    ======  ==================  =======================  =====================
    BEST    12, 0.1-0.15 s/MB   11, 1.3-1.8 s/MB         19, 0.2-0.4 s/MB
    GOOD    10, 0.07 s/MB, +0 % 10, 0.5-1.3 s/MB, +3 %   12, 0.03 s/MB, +10 %
    FAST    6, 0.01 s/MB, +4 %  6, 0.01-0.02 s/MB, +17 % 9, 0.01 s/MB, +12 %
    ======  ==================  =======================  =====================

    Weights differ less (the decoder: brotli 6 is within 4 % of 11, and brotli 9 takes 20 times as
    long as 6 for nothing), so large models are never more than FAST; nor are libraries.
    1,000 bytes: where Amazon CloudFront's compression starts. 1 %: ours; below, decoding costs more
    than it saves.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from toolchain.formats.compression import SHIPPING, SUFFIX, Codec, Levels, encode
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, Store
from toolchain.passes.base import GraphPass
from toolchain.units import Bytes

_CODE = frozenset({Kind.JS, Kind.JSON, Kind.CSS, Kind.HTML, Kind.WASM, Kind.TEXT})
_MODELS = frozenset({Kind.ONNX, Kind.ORT, Kind.GGUF, Kind.DATA})
_NATIVE = frozenset({Kind.ELF, Kind.MACHO, Kind.PE})

BEST = SHIPPING
GOOD = Levels(gzip=10, brotli=10, zstd=12)
FAST = Levels(gzip=6, brotli=6, zstd=9)

_BEST_BYTES = 4_000_000  # at most 10 s of one core
_GOOD_BYTES = 16_000_000  # at most 22 s of one core
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

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with siblings and their edges added."""
        chosen = [
            a for a in graph.files.values() if a.kind in self.kinds and a.size >= self.least_bytes
        ]
        chosen.sort(key=lambda a: (-a.size, a.id))  # the longest work first
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            made = pool.map(lambda a: self._siblings(a, graph, store), chosen)
            siblings = [(a, file) for file, group in zip(chosen, made, strict=True) for a in group]
        finally:  # without waiting: after Ctrl-C nobody wants what is still being compressed
            pool.shutdown(wait=False, cancel_futures=True)
        if not siblings:
            return graph
        edges = (Edge(a.id, file.id, Relation.ENCODES) for a, file in siblings)
        return graph.with_artifacts(a for a, _ in siblings).with_edges(edges)

    def _siblings(self, file: Artifact, graph: Graph, store: Store) -> list[Artifact]:
        free = [c for c in self._codecs() if _sibling(file.id, c) not in graph.artifacts]
        if not free:
            return []
        encoded = encode_file(store.get(file.digest), free, effort(file))
        return [
            Artifact(_sibling(file.id, codec), Kind.COMPRESSED, store.put(data), Bytes(len(data)))
            for codec, data in encoded.items()
        ]

    def _codecs(self) -> list[Codec]:
        wanted = {Codec.GZIP: self.gzip, Codec.BROTLI: self.brotli, Codec.ZSTD: self.zstd}
        return [codec for codec in Codec if wanted[codec]]


def effort(file: Artifact) -> Levels:
    """Return how hard to try: as hard as possible for what is small or what a page waits for."""
    if file.size <= _BEST_BYTES:
        return BEST
    return GOOD if file.kind in _CODE and file.size <= _GOOD_BYTES else FAST


def encode_file(data: bytes, codecs: Iterable[Codec], levels: Levels) -> dict[Codec, bytes]:
    """Return ``data`` in each of ``codecs`` that saves at least 1 %."""
    level = {Codec.GZIP: levels.gzip, Codec.BROTLI: levels.brotli, Codec.ZSTD: levels.zstd}
    encoded = {codec: encode(data, codec, level[codec]) for codec in codecs}
    most = len(data) * (1 - _LEAST_SAVING)
    return {codec: made for codec, made in encoded.items() if len(made) <= most}


def _sibling(name: ArtifactId, codec: Codec) -> ArtifactId:
    return ArtifactId(name + SUFFIX[codec])
