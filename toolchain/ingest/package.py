"""What a model package holds: header, skeleton and tensors as they travel, facts for people.

The bytes of a tensor are those of the chunk with its codes (its numbers, where it is exact). Small
arrays of many tensors share a chunk, and equal tensors share theirs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from toolchain.errors import FormatError
from toolchain.formats import chunk_coding, model_template, package_header
from toolchain.formats.model_inventory import Inventory, StoredTensor, shape_text
from toolchain.formats.model_template import Holed, Slot
from toolchain.formats.onnx_wire import inventory
from toolchain.formats.package_header import CODECS, HEADER_START, Header, Hole, Opened
from toolchain.formats.part_names import printable, unique_names
from toolchain.ingest.base import Contents, Part, refers_to_nothing
from toolchain.ir import Kind
from toolchain.units import Bytes, show_bytes

KINDS = frozenset({Kind.PACKAGE})

resolve = refers_to_nothing


def read(data: memoryview) -> Contents:
    """Return header, skeleton and the encoded bytes of each tensor; only the skeleton is decoded.

    Errors:
        FormatError: ``data`` is not a package, it is cut, or its header is wrong.
    """
    opened = package_header.read(data)
    model = _model(data, opened)
    known = inventory(model.view())
    parts = [
        Part(Kind.HEADER, "header", 0, Bytes(opened.starts[0])),
        *_chunks(opened, model_template.slots(model.view()), known.ranges()),
    ]
    return Contents(tuple(parts), (), _facts(opened.header, known))


def _model(data: memoryview, opened: Opened) -> Holed:
    """Return the model as far as it can be read without its tensors."""
    header, (start, end) = opened.header, opened.starts[:2]
    skeleton = chunk_coding.decoded(header.chunks[0], data[start:end], header.digest(0), at=start)
    return Holed(skeleton, [(hole.at, hole.size) for hole in header.holes])


def _chunks(opened: Opened, slots: Sequence[Slot], tensors: Sequence[StoredTensor]) -> list[Part]:
    """Return a part for each chunk; ``tensors`` of the model, in file order."""
    owners = [_owner(opened.header, number, slots) for number in range(len(opened.header.chunks))]
    names = unique_names(owner.name for owner in owners)
    return [
        Part(owner.kind, name, start, Bytes(chunk.encoded), _tensor_facts(owner, tensors))
        for owner, name, start, chunk in zip(
            owners, names, opened.starts, opened.header.chunks, strict=False
        )
        if chunk.encoded
    ]


class _Owner(NamedTuple):
    """What a chunk is and whose; ``slot`` and ``travels`` where it is one tensor's."""

    kind: Kind
    name: str
    slot: Slot | None = None
    travels: str = ""


def _owner(header: Header, number: int, slots: Sequence[Slot]) -> _Owner:
    """Return what a chunk is and whose: the first of equal tensors, or no single one's."""
    if number == 0:
        return _Owner(Kind.SECTION, "skeleton")
    owned: dict[tuple[int, int], _Owner] = {}
    for hole in header.holes:
        if number in hole.chunks:
            slot = _slot(hole, slots)
            for start, size, what, travels in _ranges(hole, number):
                name = (slot.name or "unnamed") + what
                owned.setdefault((start, size), _Owner(Kind.TENSOR, name, slot, travels))
    if len(owned) == 1:
        return next(iter(owned.values()))
    return _Owner(Kind.SECTION, f"{len(owned)} small arrays")


def _ranges(hole: Hole, chunk: int) -> Iterator[tuple[int, int, str, str]]:
    """Yield start and size of what a tensor has in a chunk, what it is, and how it travels."""
    if hole.plain is not None:
        yield hole.plain.start, hole.plain.size, "", "exact"
    for place, array in enumerate(hole.grid.arrays if hole.grid else ()):
        if array.chunk == chunk:
            what = "factors" if place else "codes"
            shown = f"{array.dtype}{shape_text(array.shape)} {what}"
            yield array.start, math.prod(array.shape), " factors" if place else "", shown


def _slot(hole: Hole, slots: Sequence[Slot]) -> Slot:
    if hole.position >= len(slots):
        raise FormatError(f"the skeleton has no tensor {hole.position}", HEADER_START)
    return slots[hole.position]


def _tensor_facts(owner: _Owner, tensors: Sequence[StoredTensor]) -> tuple[tuple[str, str], ...]:
    """Return what is known of the tensor a chunk belongs to: its numbers lie inside one."""
    if owner.slot is None:
        return ()
    place = bisect_right(tensors, owner.slot.start, key=lambda tensor: tensor.start) - 1
    inside = place >= 0 and owner.slot.end <= tensors[place].end
    return (*(tensors[place].facts() if inside else ()), ("travels", owner.travels))


def _facts(header: Header, known: Inventory) -> tuple[tuple[str, str], ...]:
    codecs: Counter[str] = Counter()
    for chunk in header.chunks:
        codecs[str(CODECS[chunk.codec] or "stored")] += chunk.encoded
    kinds: Counter[str] = Counter(
        f"coded {hole.grid.dtype}" if hole.grid else "exact" for hole in header.holes
    )
    own = {
        "model": f"{show_bytes(header.size)} when materialized",
        "formats": ", ".join(printable(name) for name in header.formats),
        "travels": ", ".join(f"{name} {n}" for name, n in sorted(kinds.items())),
        "codecs": ", ".join(f"{name} {show_bytes(n)}" for name, n in sorted(codecs.items())),
    }
    found = {**own, **dict(known.facts())}
    return tuple((name, text) for name, text in found.items() if text)
