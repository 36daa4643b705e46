"""What an ORT model (onnxruntime's own format) holds: tensors as parts, facts for people."""

from __future__ import annotations

from toolchain.formats import ort_model
from toolchain.formats.part_names import unique_names
from toolchain.ingest.base import Contents, Part, refers_to_nothing
from toolchain.ir import Kind
from toolchain.units import Bytes

KINDS = frozenset({Kind.ORT})

resolve = refers_to_nothing


def read(data: memoryview) -> Contents:
    """Return the tensors of a model; nodes and names are left over.

    Errors:
        FormatError: ``data`` is not an ORT model, or it is cut.
    """
    found = ort_model.inventory(data)
    owners = found.ranges()
    parts = tuple(
        Part(Kind.TENSOR, name, tensor.start, Bytes(tensor.end - tensor.start), tensor.facts())
        for name, tensor in zip(unique_names(t.name for t in owners), owners, strict=True)
    )
    return Contents(parts, (), found.facts(), tuple(found.problems))
