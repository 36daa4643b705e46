"""What a safetensors file holds: header and tensors as parts, facts for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from toolchain.formats import safetensors
from toolchain.formats.model_inventory import StoredTensor
from toolchain.formats.part_names import printable, unique_names
from toolchain.formats.safetensors import Safetensors
from toolchain.ingest.base import Contents, Part, refers_to_nothing
from toolchain.ir import Kind
from toolchain.units import Bytes, show_bytes

KINDS = frozenset({Kind.SAFETENSORS})

resolve = refers_to_nothing
_MOST_NAMES = 4  # ours: of copies, named in the facts


def read(data: memoryview) -> Contents:
    """Return header and tensors of a file; nothing is left over.

    Errors:
        FormatError: ``data`` is not a safetensors file, or it is cut.
    """
    model = safetensors.read(data)
    stored = [tensor for tensor in model.tensors if tensor.end > tensor.start]
    halves = [tensor for tensor in model.tensors if model.is_half(tensor)]
    copies = model.copies()
    about = _about_tensors(halves, copies)
    header = Part(Kind.HEADER, "header", 0, Bytes(model.header_end))
    tensors = [
        Part(
            Kind.TENSOR,
            name,
            tensor.start,
            Bytes(tensor.end - tensor.start),
            (*tensor.facts(), *about.get(tensor.name, ())),
        )
        for name, tensor in zip(unique_names(t.name for t in stored), stored, strict=True)
    ]
    problems = tuple(
        f"tensor {printable(t.name)} is of the unknown type {printable(t.dtype)}"
        for t in stored
        if not t.elements
    )
    return Contents((header, *tensors), (), _facts(model, halves, copies), problems)


def _about_tensors(
    halves: Sequence[StoredTensor], copies: Sequence[tuple[StoredTensor, StoredTensor]]
) -> dict[str, list[tuple[str, str]]]:
    """Return by tensor what could be smaller about it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for tensor in halves:
        found.setdefault(tensor.name, []).append(("exact in", "float16"))
    for tensor, first in copies:
        found.setdefault(tensor.name, []).append(("copy of", printable(first.name)))
    return found


def _facts(
    model: Safetensors,
    halves: Sequence[StoredTensor],
    copies: Sequence[tuple[StoredTensor, StoredTensor]],
) -> tuple[tuple[str, str], ...]:
    sizes: Counter[str] = Counter()
    for tensor in model.tensors:
        sizes[tensor.dtype] += tensor.end - tensor.start
    twice = ", ".join(
        f"{printable(tensor.name)} = {printable(first.name)}"
        for tensor, first in copies[:_MOST_NAMES]
    )
    more = f" and {len(copies) - _MOST_NAMES} more" if len(copies) > _MOST_NAMES else ""
    found = {
        "tensors": str(len(model.tensors)),
        "parameters": f"{sum(t.elements for t in model.tensors):,}",
        "weights": ", ".join(
            f"{name} {show_bytes(size)}" for name, size in sorted(sizes.items(), key=_most_first)
        ),
        "exact in float16": f"{len(halves)} float32 tensors, "
        f"{show_bytes(sum(t.end - t.start for t in halves))}"
        if halves
        else "",
        "stored twice": f"{show_bytes(sum(t.end - t.start for t, _ in copies))}: {twice}{more}"
        if copies
        else "",
        "metadata": ", ".join(sorted(printable(key) for key in model.metadata)),
    }
    return tuple((name, text) for name, text in found.items() if text)


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
