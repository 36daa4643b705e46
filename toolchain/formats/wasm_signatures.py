"""The types of a WebAssembly module's functions, as far as JavaScript must be able to call them.

Source: WebAssembly Core Specification 3.0, 5.3 (types) and 5.5.4 to 5.5.6; WebAssembly JavaScript
Interface, "ToJSValue": a v128 cannot cross the boundary.
"""

from __future__ import annotations

from typing import NamedTuple

from toolchain.errors import FormatError
from toolchain.formats import wasm
from toolchain.formats.leb128 import Reader, signed

_FUNCTION = 0x60
_V128 = 0x7B
_WITH_HEAP_TYPE = frozenset({0x63, 0x64})


class Signature(NamedTuple):
    """The first byte of the type of each parameter and result."""

    parameters: tuple[int, ...]
    results: tuple[int, ...]

    @property
    def crosses(self) -> bool:
        """Whether JavaScript can call such a function, or be called as one."""
        return _V128 not in (*self.parameters, *self.results)


def defined(data: bytes | memoryview) -> tuple[Signature, ...]:
    """Return the signature of each function that the module defines, in order.

    Errors:
        FormatError: not a well-formed module, or one with types that are not functions'.
    """
    by_id = {s.id: s for s in wasm.sections(data) if s.id != wasm.CUSTOM}
    if 3 not in by_id:  # noqa: PLR2004 - the function section
        return ()
    if 1 not in by_id:
        raise FormatError("functions without types", by_id[3].start)
    reader = Reader(data, by_id[1].body, by_id[1].end)
    types = reader.many(lambda: _signature(reader), 3)
    reader = Reader(data, by_id[3].body, by_id[3].end)
    numbers = reader.many(reader.u32, 1)
    if any(number >= len(types) for number in numbers):
        raise FormatError("a function of a type that is not there", by_id[3].start)
    return tuple(types[number] for number in numbers)


def _signature(reader: Reader) -> Signature:
    at = reader.at
    if reader.byte() != _FUNCTION:
        raise FormatError("a type that is not a function's", at)
    return Signature(_values(reader), _values(reader))


def _values(reader: Reader) -> tuple[int, ...]:
    return tuple(reader.many(lambda: _value(reader), 1))


def _value(reader: Reader) -> int:
    kind = reader.byte()
    if kind in _WITH_HEAP_TYPE:
        _, reader.at = signed(reader.data, reader.at, reader.end, 33)
    return kind
