"""LEB128 numbers, and a cursor that reads them without ever leaving its range.

Source: WebAssembly Core Specification 3.0, sections 5.2.2 (integers), 5.2.4 (names) and 5.1.3
(vectors). Every failure is a ``FormatError`` with the offset of the field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from toolchain.errors import FormatError

T = TypeVar("T")

_MORE = 0x80  # the high bit means "another byte follows"
_NEGATIVE = 0x40  # sign bit of the last byte
_MAX_ITEMS = 1_000_000  # functions, imports, exports: WebAssembly JavaScript Interface, limits


def unsigned(data: bytes | memoryview, at: int, end: int, bits: int = 32) -> tuple[int, int]:
    """Read an unsigned LEB128 number in ``data[at:end]``; return it and the offset after it.

    Errors:
        FormatError: it does not end before ``end``, has too many bytes or needs more bits.
    """
    value = shift = 0
    for i in range(at, min(at + -(-bits // 7), end)):
        value |= (data[i] & 0x7F) << shift
        if data[i] < _MORE:
            if value >> bits:
                raise FormatError(f"number needs more than {bits} bits", at)
            return value, i + 1
        shift += 7
    raise FormatError("unfinished LEB128 number", at)


def signed(data: bytes | memoryview, at: int, end: int, bits: int) -> tuple[int, int]:
    """Read a signed LEB128 number of at most ``bits`` bits; return it and the offset after it.

    Errors:
        FormatError: it does not end before ``end``, has too many bytes or needs more bits.
    """
    value = shift = 0
    for i in range(at, min(at + -(-bits // 7), end)):
        value |= (data[i] & 0x7F) << shift
        shift += 7
        if data[i] < _MORE:
            if data[i] & 0x40:
                value -= 1 << shift
            if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                raise FormatError(f"number needs more than {bits} bits", at)
            return value, i + 1
    raise FormatError("unfinished LEB128 number", at)


def encoded(value: int) -> bytes:
    """Return the shortest form of an unsigned number.

    >>> encoded(300).hex()
    'ac02'
    """
    found = bytearray()
    while value >= _MORE:
        found.append(value & 0x7F | _MORE)
        value >>= 7
    return bytes([*found, value])


class Reader:
    """A position between two offsets of a file; nothing is read behind ``end``."""

    def __init__(self, data: bytes | memoryview, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def u32(self) -> int:
        """Read an unsigned 32-bit LEB128 number."""
        value, self.at = unsigned(self.data, self.at, self.end)
        return value

    def byte(self) -> int:
        """Read one byte."""
        return self.data[self.skip(1)]

    def skip(self, count: int) -> int:
        """Step over ``count`` bytes; return where they start."""
        if count > self.end - self.at:
            raise FormatError(f"{count} bytes are promised, {self.end - self.at} are left", self.at)
        self.at += count
        return self.at - count

    def name(self) -> str:
        """Read a length-prefixed UTF-8 name."""
        start = self.at
        size = self.u32()
        at = self.skip(size)
        try:
            return str(self.data[at : at + size], "utf-8")
        except UnicodeDecodeError as error:
            raise FormatError("name is not UTF-8", start) from error

    def many(self, read: Callable[[], T], least_bytes: int) -> list[T]:
        """Read a vector whose elements take at least ``least_bytes`` each."""
        start = self.at
        count = self.u32()
        if count > _MAX_ITEMS or count * least_bytes > self.end - self.at:
            raise FormatError(f"a vector cannot have {count} elements here", start)
        return [read() for _ in range(count)]

    def finish(self, what: str) -> None:
        """Insist that everything was read."""
        if self.at != self.end:
            raise FormatError(f"{what} has {self.end - self.at} bytes too many", self.at)
