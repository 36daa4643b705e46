"""What an ONNX model holds: tensors, metadata, external weights, and facts for people.

Tensors are initializers and those in attributes (constants), in the main graph, in branches and
loop bodies, and in functions. What is left (nodes, names, shapes) is the graph itself.
"""

from __future__ import annotations

import posixpath

from toolchain.formats import onnx_wire
from toolchain.formats.external_data import stays_inside
from toolchain.formats.part_names import printable, unique_names
from toolchain.ingest.base import Contents, Neighbours, Part, Reference
from toolchain.ir import ArtifactId, Kind, Relation
from toolchain.units import Bytes

KINDS = frozenset({Kind.ONNX})


def read(data: memoryview) -> Contents:
    """Return the tensors and metadata of a model, and the files that hold the weights it does not.

    Errors:
        FormatError: ``data`` is not an ONNX model, or it is cut.
    """
    found = onnx_wire.inventory(data)
    owners = found.ranges()
    tensors = tuple(
        Part(Kind.TENSOR, name, tensor.start, Bytes(tensor.end - tensor.start), tensor.facts())
        for name, tensor in zip(unique_names(t.name for t in owners), owners, strict=True)
    )
    entries = tuple(
        Part(Kind.ENTRY, name, entry.start, Bytes(entry.end - entry.start))
        for name, entry in zip(
            unique_names(e.key for e in found.metadata), found.metadata, strict=True
        )
    )
    inside = [location for location in found.external if stays_inside(location)]
    outside = [location for location in found.external if not stays_inside(location)]
    problems = [f"external data outside the model's folder: {printable(o)}" for o in outside]
    references = tuple(Reference(location, Relation.FETCH, "data") for location in inside)
    return Contents((*tensors, *entries), references, found.facts(), (*found.problems, *problems))


def resolve(
    reference: Reference,
    source: ArtifactId,
    files: Neighbours,
    conditions: frozenset[str],  # noqa: ARG001 - the contract of all ingesters
) -> list[ArtifactId]:
    """Return the file with the external weights, which lies at or below the model's folder."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), reference.target))
    return [ArtifactId(path)] if path in files else []
