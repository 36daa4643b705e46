"""What a search found: the codes, the score, and all it tried on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolchain.formats.coded_tensor import CodedTensor
from toolchain.tables import table
from toolchain.tasks.base import Score


@table
class Point:
    """One operating point that was tried, on the search data."""

    bytes: int  # entropy of all codes and factors, and what was not coded
    error: float
    agreement: float


@table
class Row:
    """What was done to one tensor."""

    index: int  # in the order of ``onnx_model.tensors``
    name: str
    representation: str
    before: int  # bytes as stored
    after: int  # bytes of its codes and factors by their entropy


@dataclass(frozen=True)
class Found:
    """The result; without ``coded`` nothing is to be done, and ``note`` says why."""

    coded: Mapping[int, CodedTensor]
    score: Score | None  # on the confirmation data
    front: tuple[Point, ...]  # no other tried point is smaller and better, by rising bytes
    rows: tuple[Row, ...]
    evaluations: int
    seconds: float
    note: str = ""


def pareto(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other beats in bytes and error, by rising bytes.

    Points whose error is no finite number (infinite answers, another shape) are no choice.

    >>> [p.bytes for p in pareto([Point(9, 0.1, 1), Point(5, 0.2, 1), Point(7, 0.3, 1)])]
    [5, 9]
    """
    kept: list[Point] = []
    finite = (point for point in points if math.isfinite(point.error))
    for point in sorted(finite, key=lambda p: (p.bytes, p.error, -p.agreement)):
        if not kept or point.error < kept[-1].error:
            kept.append(point)
    return tuple(kept)
