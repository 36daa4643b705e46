"""One weight on a grid of codes: steps, rounding with feedback, the price of each code.

Model
    A row ``w`` of a weight answers an input ``x`` with ``w.x``; codes change ``w`` by ``d`` and the
    answer by ``d.x``, whose mean square is ``d H dT`` with ``H`` the mean of ``x xT`` over the
    calibration data. Columns are rounded one after the other, from the last to the first; each
    takes over what the ones before it spoiled, as far as their inputs are correlated. With
    ``H = L LT`` that leaves ``sum((L[j,j] * error[j])**2)``, so steps in proportion to
    ``1 / L[j,j]`` spend the fewest bits (reverse water-filling). Between two neighbours the one is
    taken that costs less in error plus price.

Source
    Frantar et al., GPTQ, 2022 (rounding with feedback); Lifar et al., WaterSIC, 2026 (steps from
    the triangle: within 0.255 bit of the least); Sullivan 1996 (rounding at a price).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.onnx_weights import Weight
from toolchain.formats.weight_layout import Layout
from toolchain.quantization.activations import Moments
from toolchain.quantization.exact import exact_codes
from toolchain.quantization.rate import Codes, entropy_bits, factor_bits
from toolchain.quantization.rounding import Matrices, rule_for, with_feedback

_DAMPING = 0.01
"""Share of the mean energy that every input has at least, so that inputs the calibration data does
not excite are not given up. GPTQ's value."""

_SHAPE_DENSITY = 2  # steps differ by powers of 2 ** (1 / 2): what is lost is below 0.01 bit
_MERIT_MULTIPLIER = 0.05  # answers off by 5 %: between 3 and 6 bits for most tensors
_SAMPLE = 1 << 16  # elements from which a rate is estimated
_LARGEST_CODE = 2**23  # exact in float32, with room for what feedback adds
_CODE_TYPES: tuple[type[np.signedinteger[Any]], ...] = (np.int8, np.int16, np.int32)


class Kind(StrEnum):
    """How a tensor is represented."""

    STEP = "one step"
    FEEDBACK = "one step, feedback"
    SHAPED = "a step for each input, feedback"
    ENERGY = "a step for each input"
    ROWS = "a step for each output"


@dataclass(frozen=True, eq=False)
class Prepared:
    """A weight with what is known of its inputs, ready to be rounded.

    Shapes:
        values: (group, row, depth)
        moments: (1 or group, depth, depth), (1 or group, depth) or None
        triangle: like full moments, lower
        shape: relative steps, broadcast against ``values``
    """

    weight: Weight
    layout: Layout
    values: Matrices
    offset: float
    moments: Moments | None
    triangle: Matrices | None
    kind: Kind
    shape: Matrices
    unit_step: float  # the step at which a row's answers would be as wrong as they are large
    exact: CodedTensor | None = None  # codes that change nothing, where there are some

    def steps(self, multiplier: float) -> Matrices:
        """Return the steps at ``multiplier``, as they broadcast against ``values``."""
        return np.float32(self.unit_step * multiplier) * self.shape


def prepared(weight: Weight, moments: Moments | None) -> Prepared:
    """Return ``weight`` in the representation that takes the fewest bits at equal error."""
    layout = weight.uses[0].layout if weight.uses else Layout((weight.values.size,), "d")
    numbers = weight.values.astype(np.float32)
    offset = float(np.median(numbers)) if weight.dtype == "uint8" else 0.0
    values = (layout.matrices(numbers) - np.float32(offset)).astype(np.float32)
    if moments is not None and moments.shape[-1] != values.shape[2]:
        moments = None
    one = np.ones((1, 1, 1), np.float32)
    triangle = _triangle(moments) if moments is not None and moments.ndim == 3 else None  # noqa: PLR2004 - full
    exact = exact_codes(weight.values)
    plain = Prepared(weight, layout, values, offset, moments, None, Kind.STEP, one, 1.0, exact)
    choices = [plain]
    if moments is not None:
        choices.append(replace(plain, kind=Kind.ENERGY, shape=_per_depth(_energy(moments) ** 0.5)))
    rows = np.sqrt(np.mean(values**2, axis=2, keepdims=True))
    if min(values.shape[1:]) > 1 and rows.min() > 0:
        choices.append(replace(plain, kind=Kind.ROWS, shape=_powers(rows / np.median(rows))))
    if triangle is not None:
        shaped = _per_depth(np.diagonal(triangle, axis1=1, axis2=2))
        choices.append(replace(plain, kind=Kind.FEEDBACK, triangle=triangle))
        choices.append(replace(plain, kind=Kind.SHAPED, triangle=triangle, shape=shaped))
    scaled = [replace(c, unit_step=_unit_step(c)) for c in choices]
    return min(scaled, key=_merit) if len(scaled) > 1 else scaled[0]


def fits(one: Prepared, multiplier: float) -> bool:
    """Return whether codes at ``multiplier`` times the unit step are small enough to be exact.

    They are not where steps follow inputs that are silent, and the weights of those are huge.
    """
    return _fit(one.values, one.steps(multiplier))


def coded(one: Prepared, multiplier: float) -> CodedTensor:
    """Return the weight's codes at ``multiplier`` times its unit step, which has to fit."""
    steps = one.steps(multiplier)
    codes = _rounded(one, steps)
    factor = _factor(one, steps)
    grid = one.layout.grid(codes.astype(_code_type(codes)))
    offset = None
    if one.offset:
        offset = np.full((1,) * grid.ndim, one.offset, np.float32)
    return CodedTensor(grid, one.weight.values.shape, one.weight.dtype, (factor,), offset)


def _code_type(codes: Codes) -> type[np.signedinteger[Any]]:
    low, high = int(codes.min()), int(codes.max())
    fits = (t for t in _CODE_TYPES if low >= np.iinfo(t).min and high <= np.iinfo(t).max)
    return next(fits)


def rate_bits(one: Prepared, multiplier: float) -> float:
    """Estimate what the codes will take, from the entropy of a plain rounding of some rows.

    Infinitely many where codes do not fit.
    """
    steps = one.steps(multiplier)
    stride = max(1, one.values.size // _SAMPLE)
    rows = one.values[:, ::stride]
    part = steps if steps.shape[1] == 1 else steps[:, ::stride]
    if not _fit(rows, part):
        return math.inf
    bits = entropy_bits(_plain(rows, part)) * one.values.size / rows.size
    return bits + factor_bits(_factor(one, steps))


def _factor(one: Prepared, steps: Matrices) -> NDArray[np.float32]:
    groups, rows, depth = one.values.shape
    if steps.size == 1:
        return steps.reshape((1,) * len(one.layout.split))
    role = "d" if steps.shape[1] == 1 else "r"
    size = depth if role == "d" else rows
    full = np.broadcast_to(steps, (groups, 1, size) if role == "d" else (groups, size, 1))
    return one.layout.factor(np.ascontiguousarray(full).reshape(groups, size), role).astype(
        np.float32
    )


def _triangle(moments: Moments) -> Matrices | None:
    depth = moments.shape[1]
    energy = np.trace(moments, axis1=1, axis2=2) / depth
    if not (energy > 0).any():
        return None
    energy = np.maximum(energy, energy.max() * _DAMPING)
    damped = moments + (_DAMPING * energy)[:, None, None] * np.eye(depth)
    lower: Matrices = np.linalg.cholesky(damped).astype(np.float32)
    return lower


def _energy(moments: Moments) -> NDArray[np.float64]:
    """Return each input's energy, (group, depth), damped."""
    full = moments if moments.ndim == 2 else np.diagonal(moments, axis1=1, axis2=2)  # noqa: PLR2004 - the diagonal alone
    mean = max(float(full.mean()), np.finfo(np.float64).tiny)
    return full + _DAMPING * mean


def _per_depth(weights: NDArray[np.floating]) -> Matrices:
    """Return steps in inverse proportion to ``weights`` (group, depth)."""
    return _powers((np.median(weights) / weights)[:, None, :])


def _powers(values: NDArray[np.floating]) -> Matrices:
    exponents = np.round(np.log2(values) * _SHAPE_DENSITY) / _SHAPE_DENSITY
    shape: Matrices = np.exp2(exponents).astype(np.float32)
    return shape


def _power(matrices: Matrices, moments: Moments | None) -> float:
    if moments is None:
        return float(np.square(matrices, dtype=np.float64).sum())
    if moments.ndim == 2:  # noqa: PLR2004 - the diagonal alone
        return float((np.square(matrices, dtype=np.float64) * moments[:, None, :]).sum())
    return float((np.matmul(matrices, moments.astype(np.float32)) * matrices).sum())


def _unit_step(one: Prepared) -> float:
    """Return the step whose rounding error has the power of the answers themselves.

    That is where high-resolution theory would put it: ``step**2 / 12`` an element.
    """
    size = _power(one.values, one.moments)
    shape = np.broadcast_to(one.shape, one.values.shape)
    if one.triangle is not None:
        gains = np.square(np.diagonal(one.triangle, axis1=1, axis2=2))[:, None, :]
        noise = float((np.square(shape) * gains).sum())
    elif one.moments is not None:
        noise = float((np.square(shape) * _energy(one.moments)[:, None, :]).sum())
    else:
        noise = float(np.square(shape).sum())
    if not (size > 0 and noise > 0):
        return float(max(np.abs(one.values).max(), 1.0))
    return float(np.sqrt(12 * size / noise))


def _merit(one: Prepared) -> float:
    """Return the bits at an error that is the same for all kinds: lower is better.

    Unit steps are those of equal error, so is any multiple of them.
    """
    return rate_bits(one, _MERIT_MULTIPLIER)


def _fit(values: Matrices, steps: Matrices) -> bool:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return bool(np.abs(values / steps).max(initial=0) < _LARGEST_CODE)


def _plain(values: Matrices, steps: Matrices) -> Codes:
    codes: Codes = np.rint(values / steps).astype(np.int32)
    return codes


def _rounded(one: Prepared, steps: Matrices) -> Codes:
    """Return the codes, (group, row, depth)."""
    first = _plain(one.values, steps)
    bounds = np.iinfo(one.weight.dtype) if one.weight.dtype.endswith("int8") else None
    rule = rule_for(first, one.offset, bounds)
    if one.triangle is None:
        scaled: Matrices = one.values / steps
        return rule.chosen(scaled).astype(np.int32)
    return with_feedback(one.values, steps, one.triangle, rule)
