"""What an ORT model (onnxruntime's own format) holds: tensors as parts, facts for people."""

from __future__ import annotations

from toolchain.formats import ort_model
from toolchain.formats.part_names import unique_names
from toolchain.ingest.base import Contents, Neighbours, Part, Reference
from toolchain.ir import ArtifactId, Kind
from toolchain.units import Bytes

KINDS = frozenset({Kind.ORT})


def read(data: memoryview) -> Contents:
    """Return the tensors of a model; nodes and names are left over.

    Errors:
        FormatError: ``data`` is not an ORT model, or it is cut.
    """
    found = ort_model.inventory(data)
    owners = found.ranges()
    parts = tuple(
        Part(Kind.TENSOR, name, tensor.start, Bytes(tensor.end - tensor.start))
        for name, tensor in zip(unique_names(t.name for t in owners), owners, strict=True)
    )
    return Contents(parts, (), found.facts(), tuple(found.problems))


def resolve(
    reference: Reference,  # noqa: ARG001 - the contract of all ingesters
    source: ArtifactId,  # noqa: ARG001 - as above
    files: Neighbours,  # noqa: ARG001 - as above
    conditions: frozenset[str],  # noqa: ARG001 - as above
) -> list[ArtifactId]:
    """Return nothing: an ORT model refers to no file."""
    return []
