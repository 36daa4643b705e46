"""How many questions a search may ask: from what one costs, counted and not timed.

So that the same model gives the same bytes on a fast and on a slow machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from toolchain.formats.onnx_runner import Array
from toolchain.quantization.quantizer import Prepared
from toolchain.quantization.survey import Survey

_PRODUCTS_PER_SECOND = 1.2e10
"""Multiplications and additions of one thread: from 4e9 (Silero, one frame a run) to 2.4e10
(hibari, in integers) on a Xeon at 2.5 GHz."""

_NODE_SECONDS = 3e-6  # Silero: 45 nodes take 0.13 ms, most of it not for products
_COLUMN_SECONDS = 4e-5  # of rounding with feedback, beside the products
_LEAST, _MOST = 16, 240
"""Questions: less than the first cannot find anything; more than the second never paid. Ours."""


@dataclass
class Tally:
    """What a runner was fed: watches one (``onnx_runner.Watched``)."""

    runs: int = 0
    fed: int = 0  # numbers

    def __call__(self, feeds: Mapping[str, Array], answers: Mapping[str, Array]) -> None:
        """Count one question."""
        del answers  # what they are does not make them dearer
        self.runs += 1
        self.fed += sum(feed.size for feed in feeds.values())


def question_seconds(
    weights: Iterable[Prepared], survey: Survey, asked: Tally, nodes: int
) -> float:
    """Return what one question of a search takes: coding all weights, and asking.

    ``survey`` says what the calibration data took, ``asked`` how much there is to be asked.
    """
    products = survey.products * asked.fed / max(1, survey.fed)
    asking = products / _PRODUCTS_PER_SECOND + asked.runs * nodes * _NODE_SECONDS
    return asking + _rounding_seconds(weights)


def _rounding_seconds(weights: Iterable[Prepared]) -> float:
    """Return what coding all weights once takes."""
    total = 0.0
    for one in weights:
        groups, _, depth = one.values.shape
        if one.triangle is not None:
            total += groups * depth * _COLUMN_SECONDS
            total += one.values.size * depth / (4 * _PRODUCTS_PER_SECOND)
        total += one.values.size * 5e-8
    return total


def evaluations(seconds: float, each: float) -> int:
    """Return how many questions of ``each`` seconds fit.

    >>> evaluations(180, 4.5), evaluations(180, 0.001), evaluations(1, 100)
    (40, 240, 16)
    """
    return max(_LEAST, min(_MOST, int(seconds / max(each, 1e-9))))
