"""Reads flatbuffers without generated code: every offset is checked, and nothing is read twice.

A flatbuffer is a web of offsets, so a small hostile file may point to the same vector from a
million places. A reader here may take two steps a byte of the file and no more: in an honest file
each element has bytes of its own (Moonshine's decoder takes one step per 585 bytes).

Source: flatbuffers.dev, "FlatBuffers Internals".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from toolchain.errors import FormatError

_OFFSET_BYTES = 4
_SLOTS_AT = 4  # a vtable's first slot, after its own size and the table's
_FORMATS = {"b": 1, "B": 1, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8}
_STEPS_A_BYTE = 2
_BYTES_A_STEP = 64  # a string or vector costs its bytes too, at this rate


@dataclass(slots=True)
class Buffer:
    """The file and how many steps were taken in it."""

    data: memoryview
    steps: int = 0

    def root(self) -> Table:
        """Return the root table."""
        return Table(self, self.offset(0))

    def number(self, at: int, code: str) -> int:
        """Read a little-endian integer; ``code`` is that of ``struct``."""
        value: int = self._unpacked(at, code)
        return value

    def real(self, at: int) -> float:
        """Read a little-endian float32."""
        value: float = self._unpacked(at, "f")
        return value

    def _unpacked(self, at: int, code: str) -> Any:  # noqa: ANN401 - ``code`` says the type
        if at < 0 or at + _FORMATS[code] > len(self.data):
            raise FormatError("an offset points outside the file", max(0, min(at, len(self.data))))
        return struct.unpack_from(f"<{code}", self.data, at)[0]

    def offset(self, at: int) -> int:
        """Follow the offset stored at ``at``."""
        self.charge(at, 1)
        return at + self.number(at, "I")

    def charge(self, at: int, steps: int) -> None:
        """Count work; a file that asks for too much is refused."""
        self.steps += steps
        if self.steps > _STEPS_A_BYTE * len(self.data):
            raise FormatError("the file refers to the same bytes over and over", at)


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of ``count`` elements from ``start``; ``head`` is where its length is stored."""

    buffer: Buffer = field(repr=False)
    head: int
    count: int

    @property
    def start(self) -> int:
        """Offset of the first element."""
        return self.head + _OFFSET_BYTES

    def numbers(self, code: str) -> list[int]:
        """Return the elements as numbers."""
        size = _FORMATS[code]
        return [self.buffer.number(self.start + i * size, code) for i in range(self.count)]

    def reals(self) -> list[float]:
        """Return the elements as float32."""
        size = _FORMATS["f"]
        return [self.buffer.real(self.start + i * size) for i in range(self.count)]

    def copied(self) -> bytes:
        """Return the elements, of one byte each, as they are; every copy is charged in full."""
        self.buffer.charge(self.head, self.count)
        return bytes(self.buffer.data[self.start : self.start + self.count])

    def tables(self) -> Iterator[Table]:
        """Yield the elements as tables."""
        for i in range(self.count):
            yield Table(self.buffer, self.buffer.offset(self.start + i * _OFFSET_BYTES))

    def strings(self) -> Iterator[str]:
        """Yield the elements as strings; what is not UTF-8 is replaced."""
        for raw in self.raw_strings():
            yield raw.decode("utf-8", "replace")

    def raw_strings(self) -> Iterator[bytes]:
        """Yield the elements as strings of any bytes."""
        for i in range(self.count):
            yield _string(self.buffer, self.buffer.offset(self.start + i * _OFFSET_BYTES))


@dataclass(frozen=True, slots=True)
class Table:
    """A table at an offset; its fields are found by their slot, 0 for the first in the schema."""

    buffer: Buffer = field(repr=False)
    at: int

    def number(self, slot: int, code: str, default: int = 0) -> int:
        """Return an integer field."""
        place = self._place(slot)
        return self.buffer.number(place, code) if place else default

    def real(self, slot: int) -> float:
        """Return a float32 field; 0 where there is none."""
        place = self._place(slot)
        return self.buffer.real(place) if place else 0.0

    def text(self, slot: int) -> str:
        """Return a string field; empty where there is none, what is not UTF-8 replaced."""
        return self.raw_text(slot).decode("utf-8", "replace")

    def raw_text(self, slot: int) -> bytes:
        """Return a string field of any bytes; empty where there is none."""
        place = self._place(slot)
        return _string(self.buffer, self.buffer.offset(place)) if place else b""

    def table(self, slot: int) -> Table | None:
        """Return a table field."""
        place = self._place(slot)
        return Table(self.buffer, self.buffer.offset(place)) if place else None

    def vector(self, slot: int, element_bytes: int = _OFFSET_BYTES) -> Vector:
        """Return a vector field; an empty one where there is none.

        Errors:
            FormatError: its elements, of ``element_bytes`` each, do not fit into the file.
        """
        place = self._place(slot)
        if not place:
            return Vector(self.buffer, 0, 0)
        head = self.buffer.offset(place)
        return Vector(self.buffer, head, _length(self.buffer, head, element_bytes))

    def tables(self, slot: int) -> Iterator[Table]:
        """Yield the tables of a vector field."""
        return self.vector(slot).tables()

    def _place(self, slot: int) -> int:
        """Return where a field lies; 0 where the table has none."""
        self.buffer.charge(self.at, 1)
        vtable = self.at - self.buffer.number(self.at, "i")
        entry = _SLOTS_AT + 2 * slot
        if entry + 2 > self.buffer.number(vtable, "H"):
            return 0
        relative = self.buffer.number(vtable + entry, "H")
        return self.at + relative if relative else 0


def _length(buffer: Buffer, head: int, element_bytes: int) -> int:
    count = buffer.number(head, "I")
    if count * element_bytes > len(buffer.data) - head - _OFFSET_BYTES:
        raise FormatError(f"a length of {count} does not fit into the file", head)
    buffer.charge(head, 1 if element_bytes == 1 else count)
    return count


def _string(buffer: Buffer, head: int) -> bytes:
    size = _length(buffer, head, 1)
    buffer.charge(head, size // _BYTES_A_STEP)
    start = head + _OFFSET_BYTES
    return bytes(buffer.data[start : start + size])
