"""Proves that a model written in another format gives the same bits.

What it does
    Opens both files in onnxruntime, one thread, without its optimizer: both then run node by
    node. Asks both the same seeded questions: at up to three sizes that the original accepts, 12
    frames each, from silence to full scale; with every combination of the inputs that are
    switches (``use_cache_branch``), so that each branch of a merged decoder answers. Outputs that
    continue an input are fed back. Then opens the result as an application does, optimizer on,
    and measures how far its answers are.

When it holds
    Inputs and outputs have the same names, types and declared sizes, and without the optimizer
    every output has the same shape and the same bits. The optimizer may add numbers up in another
    order; what that changes is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.onnx_probes import Probe, probes
from toolchain.formats.onnx_session import expect_tensors, run, session
from toolchain.ir import Proof

_FRAMES = 12
_SIZES = 3
_SEED = 18
_MOST_SWITCHES = 3  # with more, only some combinations: the coin flips of the probes

Array = NDArray[np.generic]
Answers = dict[str, Array]


def prove(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    """Compare the model ``before`` with the ONNX model ``after``."""
    del options  # whatever was asked for, the answers must be the same
    try:
        return _compared(before, after)
    except InputError as error:
        return _failed(str(error))


def _compared(before: bytes, after: bytes) -> Proof:
    old, new = session(before, optimize=False), session(after, optimize=False)
    expect_tensors(old)
    if difference := _interface(old, new):
        return _failed(difference)
    shipped = session(after)
    found = probes(old, {}, {}, limit=_SIZES)
    asked, drift = 0, 0.0
    for probe in found:
        for question, expected in _answered(old, probe):
            asked += 1
            if difference := _difference(expected, run(new, question)):
                return _failed(f"{difference}, at {_shapes(probe)}")
            observed = run(shipped, question)
            drift = max(drift, *(_apart(expected[name], observed[name]) for name in expected))
    if not asked:
        return _failed("the original answers none of the made-up questions")
    detail = (
        f"the same bits in {asked} answers at {len(found)} sizes; "
        f"with onnxruntime's optimizer the largest difference is {drift:.1e} of the largest number"
    )
    return Proof("same-answers", holds=True, detail=detail)


def _failed(detail: str) -> Proof:
    return Proof("same-answers", holds=False, detail=detail)


@dataclass(frozen=True)
class _Value:
    name: str
    type: str
    sizes: tuple[object, ...]


def _interface(old: onnxruntime.InferenceSession, new: onnxruntime.InferenceSession) -> str:
    """Return which input or output is not the same; nothing if all are."""
    for what, olds, news in (
        ("input", old.get_inputs(), new.get_inputs()),
        ("output", old.get_outputs(), new.get_outputs()),
    ):
        expected = [_Value(v.name, v.type, tuple(v.shape)) for v in olds]
        observed = [_Value(v.name, v.type, tuple(v.shape)) for v in news]
        if expected != observed:
            odd = next((v for v in expected if v not in observed), None)
            name = odd.name if odd else "one more"
            return f"the {what}s are not the same: {name}"
    return ""


def _answered(old: onnxruntime.InferenceSession, probe: Probe) -> Iterator[tuple[Answers, Answers]]:
    """Yield questions and the original's answers; its states go into its next question.

    A question that the original itself cannot answer is no question: a branch may need sizes that
    the other one does not take.
    """
    generator = np.random.default_rng(_SEED)
    states = probe.first_states()
    for number in range(_FRAMES):
        frame = {**probe.frame(generator, number), **states}
        for switches in _switches(probe):
            try:
                answers = run(old, {**frame, **switches})
            except InputError:
                continue
            yield {**frame, **switches}, answers
            states = {name: answers[output] for name, output in probe.states.items()}


def _switches(probe: Probe) -> Iterator[Answers]:
    """Yield every combination of the inputs that are true or false; one empty one if none is."""
    names = [name for name, kind in probe.types.items() if kind is np.bool_][:_MOST_SWITCHES]
    for values in product((False, True), repeat=len(names)):
        pairs = zip(names, values, strict=True)
        yield {name: np.full(probe.shapes[name], value, np.bool_) for name, value in pairs}


def _difference(expected: Answers, observed: Answers) -> str:
    for name, values in expected.items():
        other = observed[name]
        if values.shape != other.shape or values.dtype != other.dtype:
            return f"the output {name!r} is {other.dtype}{other.shape}"
        if not _same_bits(values, other):
            return (
                f"the output {name!r} differs by {_apart(values, other):.1e} of its largest number"
            )
    return ""


def _same_bits(values: Array, other: Array) -> bool:
    if values.dtype == np.object_:  # strings
        return bool(np.array_equal(values, other))
    return values.tobytes() == other.tobytes()


def _apart(values: Array, other: Array) -> float:
    """Return the largest difference as a share of the largest number; infinite where it is none."""
    if values.shape != other.shape or not np.issubdtype(values.dtype, np.number):
        return 0.0 if _same_bits(values, other) else float("inf")
    if np.array_equal(values, other, equal_nan=True):
        return 0.0
    wide = values.astype(np.float64)
    distance = np.nan_to_num(np.abs(wide - other.astype(np.float64)), nan=np.inf).max()
    return float(distance / max(np.abs(wide).max(), np.finfo(np.float64).tiny))


def _shapes(probe: Probe) -> str:
    shown = [f"{name}{list(shape)}" for name, shape in probe.shapes.items()]
    return ", ".join(shown[:4])
