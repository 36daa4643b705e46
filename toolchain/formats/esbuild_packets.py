"""The packets of esbuild's service: how values and messages become bytes on its pipes.

A packet is its length and its body, the body a message number and one value; numbers are 32 bits,
little endian. The lowest bit of the message number is 0 in a request and 1 in the answer to it.

Source: esbuild 0.28.2, lib/shared/stdio_protocol.ts and cmd/esbuild/stdio_protocol.go.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolchain.errors import FormatError

Value = None | bool | int | str | bytes | Sequence["Value"] | Mapping[str, "Value"]

_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
WORD_BYTES = _U32.size
_NULL, _BOOL, _INT, _STRING, _BYTES, _ARRAY, _OBJECT = range(7)


@dataclass(frozen=True, slots=True)
class Packet:
    """One message: a request of either side, or the answer to the request of the same number."""

    id: int
    request: bool
    value: Value


def encode(packet: Packet) -> bytes:
    """Return ``packet`` with its length in front.

    >>> encode(Packet(1, request=True, value=None)).hex()
    '050000000200000000'
    """
    out = bytearray(_U32.pack(packet.id << 1 | (not packet.request)))
    _put(out, packet.value)
    return _U32.pack(len(out)) + bytes(out)


def decode(body: bytes) -> Packet:
    """Read the body of one packet, the bytes after its length.

    Errors:
        FormatError: the body ends early, goes on after its value, or holds an unknown type.
    """
    try:
        (number,) = _U32.unpack_from(body)
        value, at = _take(body, WORD_BYTES)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise FormatError("packet of esbuild's service cannot be read", len(body)) from error
    if at != len(body):
        raise FormatError("packet of esbuild's service goes on after its value", at)
    return Packet(number >> 1, request=not number & 1, value=value)


def _put(out: bytearray, value: Value) -> None:
    match value:
        case None:
            out.append(_NULL)
        case bool():
            out += bytes((_BOOL, value))
        case int():
            out.append(_INT)
            out += _I32.pack(value)
        case str() | bytes():
            out.append(_STRING if isinstance(value, str) else _BYTES)
            _put_bytes(out, value.encode() if isinstance(value, str) else value)
        case Mapping():
            out.append(_OBJECT)
            out += _U32.pack(len(value))
            for key, item in value.items():
                _put_bytes(out, key.encode())
                _put(out, item)
        case _:
            _put_array(out, value)


def _put_array(out: bytearray, values: Sequence[Value]) -> None:
    out.append(_ARRAY)
    out += _U32.pack(len(values))
    for item in values:
        _put(out, item)


def _put_bytes(out: bytearray, data: bytes) -> None:
    out += _U32.pack(len(data))
    out += data


def _take(body: bytes, at: int) -> tuple[Value, int]:
    kind, at = body[at], at + 1
    if kind == _NULL:
        return None, at
    if kind == _BOOL:
        return body[at] != 0, at + 1
    if kind == _INT:
        return _I32.unpack_from(body, at)[0], at + WORD_BYTES
    if kind in {_STRING, _BYTES}:
        data, at = _take_bytes(body, at)
        # messages quote the code as it is, which may be no UTF-8
        return data.decode("utf-8", errors="replace") if kind == _STRING else data, at
    if kind in {_ARRAY, _OBJECT}:
        return _take_many(body, at, named=kind == _OBJECT)
    raise FormatError(f"unknown type {kind} in a packet of esbuild's service", at - 1)


def _take_many(body: bytes, at: int, *, named: bool) -> tuple[Value, int]:
    (count,) = _U32.unpack_from(body, at)
    at += WORD_BYTES
    items: list[Value] = []
    keys: list[str] = []
    for _ in range(count):
        if named:
            key, at = _take_bytes(body, at)
            keys.append(key.decode("utf-8", errors="replace"))
        item, at = _take(body, at)
        items.append(item)
    return dict(zip(keys, items, strict=True)) if named else items, at


def _take_bytes(body: bytes, at: int) -> tuple[bytes, int]:
    (size,) = _U32.unpack_from(body, at)
    start, end = at + WORD_BYTES, at + WORD_BYTES + size
    if end > len(body):
        raise FormatError("packet of esbuild's service ends inside a string", len(body))
    return body[start:end], end
