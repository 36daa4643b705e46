"""Walks protobuf's wire format: the fields of a message, where they lie, nothing copied.

Source: protobuf.dev, "Encoding". Groups (deprecated since 2008) are refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from toolchain.errors import FormatError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES = 10  # 64 bits, seven at a time
_SIGN = 1 << 63


class Span(NamedTuple):
    """A message or string inside the file, [``start``, ``end``)."""

    start: int
    end: int


class Field(NamedTuple):
    """One field; ``span`` is its content, ``start`` where its tag begins."""

    number: int
    start: int
    span: Span
    value: int  # of a varint; 0 for all others
    is_number: bool  # a varint

    @property
    def signed(self) -> int:
        """The value as a signed number."""
        return signed(self.value)


def fields(data: memoryview, message: Span) -> Iterator[Field]:
    """Yield the fields of a message in file order.

    Errors:
        FormatError: a field runs past the message's end, or its type or number is none.
    """
    at = message.start
    while at < message.end:
        start = at
        tag, at = varint(data, at, message.end)
        number, wire = tag >> 3, tag & 7
        value = 0
        body = at
        if wire == _VARINT:
            value, at = varint(data, at, message.end)
        elif wire == _BYTES:
            size, body = varint(data, at, message.end)
            at = body + size
        else:
            at += _FIXED.get(wire, 0)
        if number == 0 or (wire not in _FIXED and wire not in {_VARINT, _BYTES}):
            raise FormatError(f"field {number} of wire type {wire}", start)
        if at > message.end:
            raise FormatError(f"field {number} runs past the end of its message", start)
        yield Field(number, start, Span(body, at), value, wire == _VARINT)


def grouped(data: memoryview, message: Span) -> Mapping[int, list[Field]]:
    """Return the fields of a message by number; an empty list for one that is not there."""
    found: defaultdict[int, list[Field]] = defaultdict(list)
    for part in fields(data, message):
        found[part.number].append(part)
    return found


def varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """Read a variable-length number; return it and the offset after it."""
    value = 0
    for shift in range(_VARINT_BYTES):
        if at + shift >= end:
            raise FormatError("a number runs past the end of its message", at)
        byte = data[at + shift]
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the high bit means "more follows"
            return value & (2 * _SIGN - 1), at + shift + 1
    raise FormatError("an endless number", at)


def signed(value: int) -> int:
    """Return a number of 64 bits in two's complement.

    >>> signed(2**64 - 1)
    -1
    """
    return value - 2 * _SIGN if value & _SIGN else value


def text(data: memoryview, span: Span) -> str:
    """Return a string field; what is not UTF-8 is replaced."""
    return bytes(data[span.start : span.end]).decode("utf-8", "replace")
