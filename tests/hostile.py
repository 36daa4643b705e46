"""Damaged copies of a file, the same ones every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from toolchain.errors import FormatError

T = TypeVar("T")

_SEED = 20_250_207


def flips(data: bytes, count: int, *, end: int | None = None) -> Iterator[bytes]:
    """Yield ``count`` copies with one to four flipped bits each, all before ``end``."""
    generator = np.random.default_rng(_SEED)
    for _ in range(count):
        damaged = bytearray(data)
        for _ in range(generator.integers(1, 5)):
            damaged[generator.integers(end or len(data))] ^= 1 << int(generator.integers(8))
        yield bytes(damaged)


def overwrites(data: bytes, count: int, *, end: int | None = None) -> Iterator[bytes]:
    """Yield ``count`` copies with four bytes of one place replaced: lengths and offsets go wild."""
    generator = np.random.default_rng(_SEED)
    for _ in range(count):
        at = int(generator.integers((end or len(data)) - 4))
        wild = generator.choice(
            [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0" * 4]
        )
        yield data[:at] + bytes(wild).ljust(4, b"\0") + data[at + 4 :]


def refusals(
    read: Callable[[bytes], T], files: Iterator[bytes], check: Callable[[T, bytes], None]
) -> int:
    """Return how many files ``read`` refuses, each at an offset inside it; ``check`` the others."""
    refused = 0
    for data in files:
        try:
            result = read(data)
        except FormatError as error:
            refused += 1
            if not 0 <= error.offset <= len(data):
                raise AssertionError(f"{error} is not in a file of {len(data)} bytes") from error
            continue
        check(result, data)
    return refused
