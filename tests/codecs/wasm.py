"""WebAssembly as text in golden files: one section a line, its payload in hexadecimal.

    type 01 60 00 00
    custom "name" 00 02 01 6d
    code 01 02 00 0b

A file that is no module is one line ``raw``. Knows nothing of ``toolchain.formats.wasm``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

_HEADER = b"\0asm\1\0\0\0"
_NAMES = (
    "custom", "type", "import", "function", "table", "memory", "global", "export", "start",
    "element", "code", "data", "data_count", "tag",
)  # fmt: skip


def encode(text: str) -> bytes:
    if text.startswith("raw "):
        return bytes.fromhex(text.removeprefix("raw "))
    return _HEADER + b"".join(_section(line) for line in text.splitlines())


def _section(line: str) -> bytes:
    word, _, rest = line.partition(" ")
    payload = b""
    if word == "custom":
        name, end = json.JSONDecoder().raw_decode(rest)
        raw = name.encode()
        payload, rest = leb(len(raw)) + raw, rest[end:]
    return section(_NAMES.index(word), payload + bytes.fromhex(rest))


def section(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + leb(len(payload)) + payload


def leb(value: int) -> bytes:
    """Return the shortest unsigned LEB128 form of ``value``."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def decode(data: bytes) -> str:
    try:
        text = "".join(f"{line}\n" for line in _lines(data))
    except (IndexError, UnicodeDecodeError):
        return f"raw {data.hex(' ')}\n"
    return text if encode(text) == data else f"raw {data.hex(' ')}\n"


def _lines(data: bytes) -> Iterator[str]:
    at = len(_HEADER)
    while at < len(data):
        word = _NAMES[data[at]]
        size, at = _number(data, at + 1)
        payload = data[at : at + size]
        at += size
        if word == "custom":
            length, start = _number(payload, 0)
            word += " " + json.dumps(payload[start : start + length].decode())
            payload = payload[start + length :]
        yield f"{word} {payload.hex(' ')}".rstrip()


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] >= 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1
