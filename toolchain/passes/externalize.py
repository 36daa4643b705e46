"""Put the weights of ONNX models into files beside them, which a runtime maps instead of reading.

What it does
    Moves weights of ``least_bytes`` or more to ``model.onnx.data``, large ones to offsets that
    are multiples of a page, and writes into the model where each lies. With ``shard_bytes`` to
    several files.

Why
    onnxruntime maps such a file: pages come from disk when they are first read, are shared by
    processes, and are never in memory twice. A model that holds its weights is parsed and copied.
    In pieces of some megabytes a download continues where it stopped, several run at once, and
    what did not change between releases is not fetched again.

Options
    ``models``: globs of the models' ids. ``least_bytes``: smaller weights stay in the model: they
    are shapes and scalars, which onnxruntime needs while it loads. ``shard_bytes``: a new file
    begins where one would become larger (0: one file); a weight is never cut.

Keeps
    Every bit of every weight, and all else of the model. A model with weights in other files, or
    with compressed siblings (run ``compress`` later), or with a file of that name beside it,
    stays as it is. Whoever opens a model by its path finds the files; onnxruntime-web has to be
    told of them (``externalData``).

Proof
    ``same-model``: onnx's own loader reads the same model from the files, and onnxruntime opens it.

Source
    onnx, ``docs/ExternalData.md``. 1,000 bytes: ours, ten times what naming a place takes.
    Measured, onnxruntime 1.32, a 63 MB voice: 139 -> 75 MB of memory at the peak of loading, and
    444 -> 363 ms of CPU time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_external import externalized
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, Store
from toolchain.passes.base import GraphPass
from toolchain.units import Bytes


@dataclass(frozen=True)
class Externalize(GraphPass):
    """Move weights of ``models`` of ``least_bytes`` or more to files of up to ``shard_bytes``."""

    proof = "same-model"

    models: tuple[str, ...] = ("*",)
    least_bytes: int = 1000
    shard_bytes: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that are none."""
        for name in ("least_bytes", "shard_bytes"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}", hint="it counts bytes")

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with the new files and their edges."""
        encoded = {e.target for e in graph.edges if e.relation is Relation.ENCODES}
        changed: list[Artifact] = []
        edges: list[Edge] = []
        for model in graph.files.values():
            if model.kind is not Kind.ONNX or model.id in encoded:
                continue
            if not any(fnmatchcase(model.id, glob) for glob in self.models):
                continue
            made = self._files(model, graph, store)
            changed += made
            edges += [Edge(model.id, file.id, Relation.FETCH) for file in made[1:]]
        return graph.with_artifacts(changed).with_edges(edges) if changed else graph

    def _files(self, model: Artifact, graph: Graph, store: Store) -> list[Artifact]:
        """Return the model without its weights, and the files with them; nothing if it stays."""
        folder = model.id[: model.id.rfind("/") + 1]
        name = f"{model.id.removeprefix(folder)}.data"
        try:
            data, files = externalized(
                store.get(model.digest),
                name,
                least_bytes=self.least_bytes,
                shard_bytes=self.shard_bytes,
            )
        except InputError:  # no model, or its weights lie elsewhere already
            return []
        if not files or any(folder + name in graph.artifacts for name in files):
            return []
        small = replace(model, digest=store.put(data), size=Bytes(len(data)))
        return [
            small,
            *(
                Artifact(ArtifactId(folder + n), Kind.DATA, store.put(d), Bytes(len(d)))
                for n, d in files.items()
            ),
        ]
