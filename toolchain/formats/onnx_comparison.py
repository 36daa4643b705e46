"""Runs two ONNX models on the same made-up inputs and tells how far their answers are apart.

Both run in onnxruntime, one thread: at several sizes that the first accepts, with every choice of
the inputs that decide between branches, from silence to full scale. States (``state`` and
``stateN``) and caches that grow (``past`` and ``present``) are fed back, each model's own.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats import onnx_model
from toolchain.formats.onnx_choices import combinations
from toolchain.formats.onnx_probes import Probe, probes
from toolchain.formats.onnx_random import seeded
from toolchain.formats.onnx_session import expect_tensors, run, session
from toolchain.formats.state_names import successors

_FRAMES = 24  # ours: of a model with states, in which errors grow
_STATELESS_FRAMES = 10  # ours: two rounds of the probes' five levels
_SIZES = 3
_TOLERANCE = 1e-6  # float32 sums of numbers up to 1 in another order differ by some 2 ** -23
_SEED = 16_000
_MOST_STATE = 1_000_000  # ours: numbers of a cache that grows; then it starts again

Array = NDArray[np.generic]
Answers = dict[str, Array]


@dataclass(frozen=True)
class Question:
    """What is fixed while two models are compared."""

    bound: Mapping[str, Array] = field(default_factory=dict)  # inputs that only the first has
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    dropped: Collection[str] = ()  # outputs that only the first has


@dataclass(frozen=True)
class Distance:
    """The largest difference of two models' answers, and what was asked."""

    error: float  # 0.0 only if all bits are the same
    frames: int
    sizes: int
    choices: int  # combinations of inputs that decide between branches
    states: int


def same_numbers(before: bytes, after: bytes, question: Question) -> tuple[bool, str]:
    """Return whether both models compute the same numbers, and what was asked and found.

    All bits are the same; or they are when both run as they are written, and onnxruntime's
    optimizer, which fuses them in different ways, makes no number differ by more than 1e-6.

    Errors:
        InputError: as ``distance``.
    """
    optimized = distance(before, after, question)
    if optimized.error == 0:
        return True, f"all bits the same in {_asked(optimized)}"
    apart = f"largest difference {optimized.error:.1e} of {_TOLERANCE:.0e} allowed"
    if optimized.error > _TOLERANCE:
        return False, f"{apart}, in {_asked(optimized)}"
    plain = distance(before, after, question, plain=True)
    if plain.error == 0:
        return True, f"all bits the same in {_asked(plain)}; optimized by onnxruntime, {apart}"
    return False, f"{apart}, but also {plain.error:.1e} without onnxruntime's optimizations"


def _asked(found: Distance) -> str:
    choices = f", {found.choices} choices of branches" if found.choices > 1 else ""
    states = f", {found.states} states carried over" if found.states else ""
    return f"{found.frames} frames at {found.sizes} sizes{choices}{states}"


def distance(before: bytes, after: bytes, question: Question, *, plain: bool = False) -> Distance:
    """Return how far the answers of ``after`` are from those of ``before``.

    With ``plain``, onnxruntime runs both node by node as they are written: nothing fused, folded
    or rearranged.

    Errors:
        InputError: a model cannot be loaded, the first cannot be asked, the second does not
            answer what the first answers, or its outputs have other names.
    """
    choices = combinations(onnx_model.load(before), question.bound)
    with _seeded(before) as old, _seeded(after) as new:
        random = old is not before
        pair = _Pair.opened(old, new, question, plain=plain)
        asked = [
            (choice, probe, pair.carried(probe, choice))
            for choice in choices
            for probe in pair.probes(choice)
        ]
        if not asked:
            probes(pair.old, question.bound, question.shapes, limit=1)  # says why
        frames, error = 0, 0.0
        for choice, probe, carried in asked:
            if random:  # each session has a generator of its own, which the probes have moved on
                del pair  # before the next one is there: they are large
                pair = _Pair.opened(old, new, question, plain=plain)
            for expected, observed in pair.sequence(probe, choice, carried):
                frames += 1
                error = max(error, *(difference(expected[n], observed[n]) for n in observed))
    if not frames:
        raise InputError("the original answers none of the made-up inputs")
    sizes = {tuple(sorted(probe.shapes.items())) for _, probe, _ in asked}
    return Distance(error, frames, len(sizes), len(choices), len(asked[0][1].states))


@contextlib.contextmanager
def _seeded(model: bytes) -> Iterator[bytes | Path]:
    """Yield ``model``; or, where it gets seeds, a file, so that it is in memory only once."""
    made = seeded(model)
    if made is model:
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="vtool-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(made)
        del made
        yield path


@dataclass(frozen=True)
class _Pair:
    """Both models, open."""

    old: onnxruntime.InferenceSession
    new: onnxruntime.InferenceSession
    question: Question

    @classmethod
    def opened(
        cls, before: bytes | Path, after: bytes | Path, question: Question, *, plain: bool
    ) -> _Pair:
        """Open both."""
        old = session(before, optimize=not plain)
        new = session(after, optimize=not plain)
        expected = [o.name for o in old.get_outputs() if o.name not in question.dropped]
        if expected != [o.name for o in new.get_outputs()]:
            raise InputError("the outputs have other names")
        expect_tensors(old)
        return cls(old, new, question)

    def probes(self, choice: Mapping[str, Array]) -> list[Probe]:
        """Return probes for one choice; none where the original runs with no size."""
        fixed = {**self.question.bound, **choice}
        try:
            return probes(self.old, fixed, self.question.shapes, limit=_SIZES)
        except InputError:
            return []

    def carried(self, probe: Probe, choice: Mapping[str, Array]) -> dict[str, str]:
        """Return the inputs that are states or caches, and the outputs that continue them."""
        frame = probe.frame(np.random.default_rng(0), 1)
        fixed = {**self.question.bound, **choice}
        try:
            answers = run(self.old, {**frame, **probe.first_states(), **fixed})
        except InputError:  # zeros are no state for this model
            return dict(probe.states)
        return {**probe.states, **_growing(probe, answers)}

    def sequence(
        self, probe: Probe, choice: Mapping[str, Array], carried: Mapping[str, str]
    ) -> Iterator[tuple[Answers, Answers]]:
        """Yield the answers of both to a sequence of frames.

        A frame that the original cannot answer with the caches it has starts without them; one
        that it cannot answer at all is left out.
        """
        generator = np.random.default_rng(_SEED)
        accepted = {value.name for value in self.new.get_inputs()}
        fixed = {**self.question.bound, **choice}
        first = probe.first_states()
        old_states = new_states = first
        for number in range(_FRAMES if carried else _STATELESS_FRAMES):
            frame = probe.frame(generator, number)
            expected = self._answer({**frame, **old_states, **fixed})
            if expected is None:
                old_states = new_states = first
                expected = self._answer({**frame, **first, **fixed})
            if expected is None:
                continue
            feeds = {**frame, **new_states, **choice}
            observed = run(self.new, {n: feeds[n] for n in accepted if n in feeds})
            yield expected, observed
            old_states = _next(carried, expected)
            new_states = _next(carried, observed)

    def _answer(self, feeds: Answers) -> Answers | None:
        try:
            return run(self.old, feeds)
        except InputError:
            return None


def _growing(probe: Probe, answers: Answers) -> dict[str, str]:
    """Return caches: inputs whose next value is an output of the same type but another length."""
    pairs = successors(probe.shapes, answers)
    return {
        name: output
        for name, output in pairs.items()
        if name not in probe.states
        and answers[output].dtype == probe.types[name]
        and answers[output].ndim == len(probe.shapes[name])
    }


def _next(pairs: Mapping[str, str], answers: Answers) -> Answers:
    return {
        name: answers[output]
        for name, output in pairs.items()
        if output in answers and answers[output].size <= _MOST_STATE
    }


def difference(expected: Array, observed: Array) -> float:
    """Return the largest difference of two outputs; infinite where they cannot be compared.

    >>> difference(np.float32([1, 2]), np.float32([1, 2.5]))
    0.5
    """
    if expected.shape != observed.shape or expected.dtype != observed.dtype:
        return float("inf")
    if np.array_equal(expected, observed, equal_nan=np.issubdtype(expected.dtype, np.inexact)):
        return 0.0
    if not np.issubdtype(expected.dtype, np.number):
        return float("inf")
    distance = np.abs(expected.astype(np.float64) - observed.astype(np.float64))
    return float(np.nan_to_num(distance, nan=np.inf).max())
