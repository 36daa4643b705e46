"""The types of a WebAssembly module's functions, as far as JavaScript must be able to call them.

Source: WebAssembly Core Specification 3.0, 5.3 (types) and 5.5.4 to 5.5.6; WebAssembly JavaScript
Interface, "ToJSValue": a v128 cannot cross the boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from toolchain.errors import FormatError
from toolchain.formats import wasm
from toolchain.formats.leb128 import Reader, signed

T = TypeVar("T")

_TYPES, _IMPORTS, _FUNCTIONS = 1, 2, 3  # section ids
_HAS_MAXIMUM, _SHARED = 1, 2  # flags of limits
_VALUE_NAMES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
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

    @property
    def callable(self) -> bool:
        """Whether it takes numbers only, and gives what JavaScript can take."""
        return self.crosses and all(p in _VALUE_NAMES for p in self.parameters)


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


def described(data: bytes | memoryview) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what a module imports and which functions it exports, in the words of JavaScript.

    Imports have ``module``, ``name``, ``kind`` and ``type``: a descriptor of WebAssembly.Memory,
    Table or Global, or the ``result`` of a function. Exports have ``name`` and ``parameters``;
    those that JavaScript cannot call are left out.

    Errors:
        FormatError: not a well-formed module, or a type that JavaScript cannot describe.
    """
    by_id = {s.id: s for s in wasm.sections(data) if s.id != wasm.CUSTOM}

    def vector(section: int, element: Callable[[Reader], T]) -> list[T]:
        if section not in by_id:
            return []
        reader = Reader(data, by_id[section].body, by_id[section].end)
        return reader.many(lambda: element(reader), 1)

    types = vector(_TYPES, _signature)
    imports = vector(_IMPORTS, lambda reader: _import(reader, types))
    functions = [types[one["number"]] for one in imports if one["kind"] == "function"]
    functions += [types[number] for number in vector(_FUNCTIONS, Reader.u32)]
    exported = [e for e in wasm.read(data).exports if e.kind == "function"]
    callable_ = [(e.name, functions[e.number]) for e in exported if functions[e.number].callable]
    return imports, [
        {"name": name, "parameters": [_VALUE_NAMES[p] for p in one.parameters]}
        for name, one in callable_
    ]


def _import(reader: Reader, types: Sequence[Signature]) -> dict[str, Any]:
    module, name = reader.name(), reader.name()
    at = reader.at
    kind = reader.byte()
    found: dict[str, Any] = {"module": module, "name": name}
    if kind == 0:
        number = reader.u32()
        results = types[number].results
        result = _VALUE_NAMES.get(results[0], "") if len(results) == 1 else ""
        return {**found, "kind": "function", "number": number, "type": {"result": result}}
    if kind == 1:
        element = {0x70: "anyfunc", 0x6F: "externref"}.get(reader.byte())
        return {**found, "kind": "table", "type": {"element": element, **_limits(reader)}}
    if kind == 2:  # noqa: PLR2004 - memory
        return {**found, "kind": "memory", "type": _limits(reader)}
    if kind == 3 and (value := _VALUE_NAMES.get(reader.byte())):  # noqa: PLR2004 - global
        return {**found, "kind": "global", "type": {"value": value, "mutable": reader.byte() == 1}}
    raise FormatError(f"an import of kind {kind} that JavaScript cannot describe", at)


def _limits(reader: Reader) -> dict[str, Any]:
    at = reader.at
    flags = reader.u32()
    if flags > _SHARED | _HAS_MAXIMUM:
        raise FormatError(f"limits with flags {flags}", at)
    found: dict[str, Any] = {"initial": reader.u32()}
    if flags & _HAS_MAXIMUM:
        found["maximum"] = reader.u32()
    if flags & _SHARED:
        found["shared"] = True
    return found
