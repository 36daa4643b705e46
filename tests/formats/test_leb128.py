"""LEB128 numbers: every form the specification allows, and none it forbids."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats.leb128 import Reader, signed, unsigned

# both sides of every length of the encoding and of every width, where mistakes live
_POWERS = [*(7 * k for k in range(10)), *(bits + d for bits in (32, 33, 64) for d in (-1, 0))]
EDGES = st.sampled_from([(1 << k) + d for k in _POWERS for d in (-1, 0, 1)])


def _unsigned(value: int, padding: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    groups += [0] * padding
    return bytes([*(g | 0x80 for g in groups[:-1]), groups[-1]])


def _signed(value: int) -> bytes:
    groups = []
    while True:
        groups.append(value & 0x7F)
        value >>= 7
        if (value, groups[-1] & 0x40) in {(0, 0), (-1, 0x40)}:
            return bytes([*(g | 0x80 for g in groups[:-1]), groups[-1]])


@example(2**32 - 1, 0, 32)
@example(2**32, 0, 32)  # five bytes, as many as a number of 32 bits may have
@example(2**64, 0, 64)
@given(EDGES | st.integers(0, 2**32), st.integers(0, 4), st.sampled_from([32, 64]))
def test_a_number_is_read_if_and_only_if_it_fits(value: int, padding: int, bits: int) -> None:
    raw = _unsigned(value, padding)
    if value < 1 << bits and len(raw) <= -(-bits // 7):
        assert unsigned(raw + b"\x80", 0, len(raw) + 1, bits) == (value, len(raw))
    else:
        with pytest.raises(FormatError):
            unsigned(raw + b"\x80", 0, len(raw) + 1, bits)


@given((EDGES | st.integers(0, 2**32)).flatmap(lambda n: st.sampled_from([n, -n])))
def test_a_signed_number_is_read_if_and_only_if_it_fits(value: int) -> None:
    for bits in (32, 33, 64):
        raw = _signed(value)
        if -(1 << bits - 1) <= value < 1 << bits - 1:
            assert signed(raw, 0, len(raw), bits) == (value, len(raw))
        else:
            with pytest.raises(FormatError):
                signed(raw, 0, len(raw), bits)


@pytest.mark.parametrize("read", [unsigned, signed])
@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x80" * 20, b"\xff" * 5 + b"\x00"])
def test_a_number_without_an_end_is_refused_where_it_starts(read: object, raw: bytes) -> None:
    assert callable(read)
    with pytest.raises(FormatError) as caught:
        read(b"__" + raw, 2, 2 + len(raw), 32)
    assert caught.value.offset == 2


def test_nothing_is_read_behind_the_end_even_if_there_are_bytes() -> None:
    with pytest.raises(FormatError, match="unfinished"):
        unsigned(b"\x80\x01", 0, 1)
    reader = Reader(b"\x05hello", 0, 4)
    with pytest.raises(FormatError, match="5 bytes are promised, 3 are left"):
        reader.name()


def test_an_absurd_count_reserves_no_memory() -> None:
    reader = Reader(b"\xff\xff\xff\xff\x0f" + bytes(100), 0, 105)
    with pytest.raises(FormatError, match="cannot have 4294967295 elements"):
        reader.many(reader.byte, 1)
