"""A read-only table from text to JSON values in one file: mapped into memory, not read into it.

File, little-endian: magic, count of entries n, count of slots m (a power of two); then as uint32
the slots (m: number of an entry + 1, 0: free), the keys' offsets (n + 1) and the values' (n + 1);
then keys and values as UTF-8. An entry is in the first free slot from crc32(key) mod m on.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from toolchain.errors import FormatError

_MAGIC = b"VTTABLE1"
_HEAD = struct.Struct("<8sII")
_WORD = 4  # bytes of an offset
_KEPT = 2_048  # values that were looked up last stay parsed; a clause has tens of words (ours)


def write(table: Mapping[str, Any], path: Path) -> None:
    """Write ``table`` to a new file; its values are what JSON can say."""
    keys = [key.encode("utf-8", "surrogatepass") for key in table]
    values = [json.dumps(value).encode("ascii") for value in table.values()]
    slots = [0] * (1 << max(1, 2 * len(keys) - 1).bit_length())  # at most half of them are taken
    for number, key in enumerate(keys):
        at = zlib.crc32(key) % len(slots)
        while slots[at]:
            at = (at + 1) % len(slots)
        slots[at] = number + 1
    words = [*slots, *_offsets(keys), *_offsets(values)]
    with path.open("wb") as file:
        file.write(_HEAD.pack(_MAGIC, len(keys), len(slots)))
        file.write(struct.pack(f"<{len(words)}I", *words))
        file.writelines(keys)
        file.writelines(values)


def _offsets(parts: Sequence[bytes]) -> Iterator[int]:
    return accumulate(map(len, parts), initial=0)


class PackedTable(Mapping[str, Any]):
    """What ``write`` wrote; each value is parsed when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Map the file.

        Errors:
            FormatError: it is no packed table, or cut short.
            OSError: it cannot be read.
        """
        if path.stat().st_size < _HEAD.size:
            raise FormatError(f"{path.name} is no packed table", 0)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, self._count, self._slots = _HEAD.unpack_from(self._map)
        self._keys_at = _HEAD.size + (self._slots + 2 * (self._count + 1)) * _WORD
        if magic != _MAGIC or len(self._map) < self._keys_at:
            raise FormatError(f"{path.name} is no packed table", 0)
        self._words = memoryview(self._map)[_HEAD.size : self._keys_at].cast("I")
        self._values_at = self._keys_at + self._words[self._slots + self._count]
        if len(self._map) != self._values_at + self._words[-1]:
            raise FormatError(f"{path.name} is cut short", len(self._map))
        self._parsed = lru_cache(_KEPT)(self._value)

    def __len__(self) -> int:
        return int(self._count)

    def __iter__(self) -> Iterator[str]:
        for number in range(self._count):
            yield self._key(number).decode("utf-8", "surrogatepass")

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - JSON
        number = self._found(key)
        if number is None:
            raise KeyError(key)
        return self._parsed(number)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._found(key) is not None

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - JSON
        """Return the value of ``key``, without ``Mapping``'s way through an exception."""
        number = self._found(key)
        return default if number is None else self._parsed(number)

    def _found(self, key: str) -> int | None:
        """Return the number of the entry with ``key``."""
        raw = key.encode("utf-8", "surrogatepass")
        at = zlib.crc32(raw) % self._slots
        while number := self._words[at]:
            if self._key(number - 1) == raw:
                return int(number) - 1
            at = (at + 1) % self._slots
        return None

    def _key(self, number: int) -> bytes:
        start, end = self._words[self._slots + number], self._words[self._slots + number + 1]
        return self._map[self._keys_at + start : self._keys_at + end]

    def _value(self, number: int) -> Any:  # noqa: ANN401 - JSON
        first = self._slots + self._count + 1 + number
        start, end = self._words[first], self._words[first + 1]
        return json.loads(self._map[self._values_at + start : self._values_at + end])
