"""An operating point of a search: a multiplier for each unit; what it costs, how good it is."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from toolchain.formats.coded_tensor import CodedTensor
from toolchain.progress import Progress
from toolchain.quantization.candidate import Guard
from toolchain.quantization.front import Point
from toolchain.quantization.quantizer import Prepared, coded, fits, rate_bits
from toolchain.quantization.rate import entropy_bits, tensor_bits
from toolchain.tasks.base import Score, Split

_KEPT_BYTES = 1 << 27  # of codes already made: eight points of a 63 MB voice

Multipliers = Mapping[str, float]
"""One number a unit, by its name; 0 changes nothing."""


@dataclass(frozen=True)
class Tried:
    """A point and what came of it."""

    multipliers: Multipliers
    score: Score
    point: Point


@dataclass
class Trials:
    """Tries points; results do not depend on how many threads try them."""

    guard: Guard
    prepared: Mapping[int, Prepared]
    units: Mapping[str, Sequence[int]]
    rest: int  # bytes of the model that are not weights
    workers: int
    evaluations: int  # planned
    progress: Progress
    tried: list[Tried] = field(default_factory=list)
    _codes: dict[tuple[int, float], CodedTensor | None] = field(default_factory=dict)
    _held: int = 0  # bytes of codes
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def codes(self, multipliers: Multipliers) -> dict[int, CodedTensor]:
        """Return the codes of all tensors of the units in ``multipliers``."""
        found = {}
        for unit, multiplier in multipliers.items():
            for index in self.units[unit]:
                one = self._one(index, multiplier)
                if one is not None:
                    found[index] = one
        return found

    def try_all(self, points: Sequence[Multipliers]) -> list[Tried]:
        """Return what came of each, on the search data, in the same order."""
        with ThreadPoolExecutor(max(1, self.workers)) as pool:
            done = list(pool.map(self._try, points))
        self.tried += done
        return done

    def estimated_bits(self, unit: str, multiplier: float) -> float:
        """Estimate what the tensors of one unit take, without coding them."""
        found = 0.0
        for index in self.units[unit]:
            one = self.prepared[index]
            found += min(rate_bits(one, multiplier), stored_bits(one))
        return found

    def size(self, found: Mapping[int, CodedTensor]) -> int:
        """Return the bytes of the model with these codes."""
        bits = 0.0
        for index, one in self.prepared.items():
            bits += tensor_bits(found[index]) if index in found else stored_bits(one)
        return self.rest + round(bits / 8)

    def _try(self, multipliers: Multipliers) -> Tried:
        found = self.codes(multipliers)
        score = self.guard.score(found, Split.SEARCH)
        done = min(self.guard.evaluations, self.evaluations)
        self.progress.update("evaluations", done, self.evaluations)
        point = Point(self.size(found), score.error, score.agreement)
        return Tried(multipliers, score, point)

    def _one(self, index: int, multiplier: float) -> CodedTensor | None:
        """Return one tensor's codes; exact ones, or None, where those take no more or none fit.

        Neighbouring points share most of their codes, so the latest are kept.
        """
        if not multiplier:
            return self.prepared[index].exact
        key = (index, multiplier)
        with self._lock:
            if key in self._codes:
                return self._codes[key]
        made = self._made(self.prepared[index], multiplier)
        with self._lock:
            if key not in self._codes:  # another thread may have made the same
                self._codes[key] = made
                self._held += _size(made)
            while self._held > _KEPT_BYTES:
                self._held -= _size(self._codes.pop(next(iter(self._codes))))
        return made

    def _made(self, one: Prepared, multiplier: float) -> CodedTensor | None:
        if not fits(one, multiplier):
            return one.exact
        made = coded(one, multiplier)
        return made if tensor_bits(made) < stored_bits(one) else one.exact


def _size(codes: CodedTensor | None) -> int:
    return 0 if codes is None else codes.codes.nbytes


def stored_bits(one: Prepared) -> float:
    """Return what the tensor takes as it is: integers by their entropy, floats in full.

    Bytes of floats hardly compress: 7 % (fp32 in byte planes).
    """
    if one.exact is not None:
        return tensor_bits(one.exact)
    values = one.weight.values
    if one.weight.dtype.startswith("float"):
        return values.nbytes * 8.0
    return entropy_bits(values.astype(np.int32))
