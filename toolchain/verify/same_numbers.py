"""Proves that two ONNX models compute the same numbers.

What it does
    Runs both in onnxruntime, one thread, on seeded inputs: at up to three sizes that the original
    accepts, over 24 frames each, from silence to full scale. Outputs that continue an input
    (``state`` and ``stateN``) are fed back, each model's own, so that an error would grow. The
    input that the pass bound to a value gets that value in the original.

When it holds
    The outputs have the same names, types and shapes, and no number differs by more than 1e-6.
    Equal bits are the rule and are reported as error 0; onnxruntime may fuse a smaller graph
    differently, and float32 sums in another order differ by some 1e-7 (2 ** -23).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import starmap

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.onnx_probes import Probe, input_type, probes
from toolchain.formats.onnx_session import run, session
from toolchain.ir import Proof

_FRAMES = 24
_SIZES = 3
_TOLERANCE = 1e-6
_SEED = 16_000

Array = NDArray[np.generic]


def prove(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    """Compare the outputs of both models; ``options`` are those of bind-input."""
    try:
        return _compared(before, after, options)
    except InputError as error:
        return Proof("same-numbers", holds=False, detail=str(error))


def _compared(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    old, new = session(before), session(after)
    if [o.name for o in old.get_outputs()] != [o.name for o in new.get_outputs()]:
        return Proof("same-numbers", holds=False, detail="the outputs have other names")
    bound = _bound(old, options)
    shapes = options.get("shapes")
    found = probes(old, bound, shapes if isinstance(shapes, Mapping) else {}, limit=_SIZES)
    error = max(_error(old, new, probe, bound) for probe in found)
    detail = (
        f"largest difference {error:.1e} of {_TOLERANCE:.0e} allowed, "
        f"{_FRAMES} frames at {len(found)} sizes, {len(found[0].states)} states carried over"
    )
    return Proof("same-numbers", holds=error <= _TOLERANCE, detail=detail)


def _bound(old: onnxruntime.InferenceSession, options: Mapping[str, object]) -> dict[str, Array]:
    """Return the value that the pass made constant, as the original takes it."""
    name = str(options.get("input", ""))
    dtype = input_type(old, name) if name else None
    if dtype is None:
        return {}
    shape = next(value.shape for value in old.get_inputs() if value.name == name)
    sizes = [size if isinstance(size, int) else 1 for size in shape]
    return {name: np.full(sizes, np.array(options.get("value", 0)), dtype)}


def _error(
    old: onnxruntime.InferenceSession,
    new: onnxruntime.InferenceSession,
    probe: Probe,
    bound: Mapping[str, Array],
) -> float:
    """Return the largest difference over a sequence of frames."""
    accepted = {value.name for value in new.get_inputs()}
    generator = np.random.default_rng(_SEED)
    old_states = new_states = probe.first_states()
    error = 0.0
    for number in range(_FRAMES):
        frame = probe.frame(generator, number)
        expected = run(old, {**frame, **old_states, **bound})
        feeds = {**frame, **new_states}
        observed = run(new, {name: feeds[name] for name in accepted if name in feeds})
        pairs = ((expected[name], observed[name]) for name in expected)
        error = max(error, *starmap(_difference, pairs))
        old_states = {name: expected[output] for name, output in probe.states.items()}
        new_states = {name: observed[output] for name, output in probe.states.items()}
    return error


def _difference(expected: Array, observed: Array) -> float:
    """Return the largest difference of two outputs; infinite where they cannot be compared."""
    if expected.shape != observed.shape or expected.dtype != observed.dtype:
        return float("inf")
    if np.array_equal(expected, observed, equal_nan=np.issubdtype(expected.dtype, np.inexact)):
        return 0.0
    distance = np.abs(expected.astype(np.float64) - observed.astype(np.float64))
    return float(np.nan_to_num(distance, nan=np.inf).max())
