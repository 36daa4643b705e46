"""The ``mappings`` of a source map: segments as numbers in base64, each less the one before.

Source: ECMA-426, Source map format, "Mappings Structure" and "Base64 VLQ".

>>> list(decode("AAAA,IAEI;C"))[0][1]
Segment(column=4, source=0, line=2, source_column=4, name=-1)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_MORE, _BITS, _MASK = 32, 5, 31
_PLACE_FIELDS, _NAME_FIELDS = 4, 5


class Segment(NamedTuple):
    """From ``column`` on, a generated line came from a place; without one, ``source`` is -1."""

    column: int
    source: int = -1
    line: int = 0
    source_column: int = 0
    name: int = -1


def decode(mappings: str) -> Iterator[tuple[Segment, ...]]:
    """Yield the segments of each generated line, by column.

    Errors:
        ValueError: no base64 VLQ, a number that is too few, a place before the first.
    """
    state = [0, 0, 0, 0, 0]  # column, source, line, column in the source, name
    for line in mappings.split(";"):
        state[0] = 0
        segments = [_segment(text, state) for text in line.split(",") if text]
        if any(a.column > b.column for a, b in pairwise(segments)):
            segments.sort(key=lambda s: s.column)
        yield tuple(segments)


def _segment(text: str, state: list[int]) -> Segment:
    numbers = _numbers(text)
    if len(numbers) not in {1, _PLACE_FIELDS, _NAME_FIELDS}:
        raise ValueError(f"a segment of {len(numbers)} numbers: {text[:20]!r}")
    for field, number in enumerate(numbers):
        state[field] += number
        if state[field] < 0:
            raise ValueError(f"a negative place: {text[:20]!r}")
    if len(numbers) == 1:
        return Segment(state[0])
    name = state[4] if len(numbers) == _NAME_FIELDS else -1
    return Segment(state[0], state[1], state[2], state[3], name)


def _numbers(text: str) -> list[int]:
    numbers, value, shift = [], 0, 0
    for character in text:
        digit = _VALUES[character]
        value |= (digit & _MASK) << shift
        if digit & _MORE:
            shift += _BITS
            continue
        numbers.append(-(value >> 1) if value & 1 else value >> 1)
        value = shift = 0
    if shift:
        raise ValueError(f"an unfinished number: {text[:20]!r}")
    return numbers


def encode(lines: Iterable[Sequence[Segment]]) -> str:
    """Return what ``decode`` reads."""
    state = [0, 0, 0, 0]  # source, line, column in the source, name
    text = []
    for line in lines:
        column = 0
        parts = []
        for segment in line:
            numbers = [segment.column - column]
            column = segment.column
            if segment.source >= 0:
                now = [segment.source, segment.line, segment.source_column]
                numbers += [a - b for a, b in zip(now, state, strict=False)]
                state[:3] = now
                if segment.name >= 0:
                    numbers.append(segment.name - state[3])
                    state[3] = segment.name
            parts.append("".join(map(_digits, numbers)))
        text.append(",".join(parts))
    return ";".join(text)


def _digits(number: int) -> str:
    value = (-number << 1) | 1 if number < 0 else number << 1
    text = ""
    while True:
        value, digit = value >> _BITS, value & _MASK
        text += _DIGITS[digit | _MORE if value else digit]
        if not value:
            return text
