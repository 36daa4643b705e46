"""Any model at all: how far its numbers are from the original's, on made-up inputs.

What is asked
    Seeded inputs at the smallest sizes with which the model runs, and with each open size longer in
    turn (``formats/onnx_probes.py``): noise that wanders as audio does, from silence to full scale;
    all rows of the table where integers choose them, as token ids do; small integers elsewhere;
    or what ``values`` says. Outputs that continue an
    input (``state`` and ``stateN``) are fed back, the original's to both models: one early error
    does not make all that follows incomparable. Each split has seeds of its own.

Metric
    Relative output error: the root of the mean squared difference over the root mean square of the
    original's output, over all frames; of integers and truth values (token ids, classes) the share
    that is not the same. Of several outputs the worst. Outputs of another shape, or numbers that
    are finite in only one of the models, are an infinite error. Agreement is the share of all
    integers and truth values that are the same (1 where the model gives none).

Limit
    None: what made-up numbers say about a model's work, nobody knows. A lossy pass is refused until
    the user sets ``limit``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_probes import Probe, longer_probes, port_type, runner_probes
from toolchain.formats.onnx_runner import Array, Runner
from toolchain.tables import table
from toolchain.tasks.base import Limit, Score, Split, Task
from toolchain.tasks.questions.limits import Asked, allowed
from toolchain.tasks.questions.outputs import arrays

_SIZES = 2  # the smallest inputs that run, and one size more; longer ones beside them
_FRAMES = {Split.CALIBRATION: 10, Split.SEARCH: 20, Split.CONFIRMATION: 50}
"""Frames at each size. Ours: two, four and ten rounds through the probes' five levels."""


@table
class Options:
    """``limit`` is the largest relative error; ``shapes`` and ``values`` are of inputs, by name.

    An input without a shape gets the first sizes with which the model runs. One with a value (a
    sample rate, a switch) has it in every element, one with two (``src = [0, 147]``) numbers from
    the first to the second.
    """

    limit: Asked | float | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    values: Mapping[str, float | tuple[float, float]] = field(default_factory=dict)
    seed: int = 0


Frame = tuple[Mapping[str, Array], Mapping[str, Array]]  # what was fed, what came out


@dataclass(frozen=True)
class Unknown:
    """Made-up questions; the reference holds them together with the original's answers."""

    options: Options

    unit = "relative"

    @property
    def limit(self) -> Limit:
        """What the user allows.

        Errors:
            ConfigError: nothing was allowed.
        """
        asked = allowed(self.options.limit, Limit())
        if asked.error is None:
            raise ConfigError(
                "nobody knows what this model is for, so no error is small enough by itself",
                hint="name its family (vad, stt, llm, tts, embedding), or set the largest relative"
                " output error: limit = 0.01",
            )
        return asked

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model`` itself: inputs and outputs are all that is known of it."""
        return model

    def reference(self, runner: Runner, split: Split) -> object:
        """Return the questions of ``split`` and the original's answers."""
        values = self.options.values
        bound = _bound(runner, {n: v for n, v in values.items() if not isinstance(v, tuple)})
        ranges = _ranges(runner, {n: v for n, v in values.items() if isinstance(v, tuple)})
        shapes = self.options.shapes
        probes = runner_probes(runner, bound, shapes, limit=_SIZES, ranges=ranges)
        probes += longer_probes(runner, probes[0], bound, shapes)
        return [
            frame
            for number, probe in enumerate(probes)
            for frame in _frames(runner, probe, bound, self._seed(split, number), split)
        ]

    def _seed(self, split: Split, number: int) -> tuple[int, ...]:
        return (self.options.seed, list(Split).index(split), number)

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Compare all outputs over all frames."""
        del split  # the questions are in the reference
        frames: Sequence[Frame] = reference  # type: ignore[assignment]  # what reference() returned
        sums: dict[str, _Sums] = {}
        for feeds, expected in frames:
            observed = runner.run(feeds)
            for name, value in expected.items():
                before = sums.get(name, _Sums())
                sums[name] = before.plus(value, observed.get(name))
        decisions = sum(s.count for s in sums.values() if s.decided)
        same = sum(s.same for s in sums.values() if s.decided)
        return Score(
            error=max((s.error for s in sums.values()), default=0.0),
            agreement=same / decisions if decisions else 1.0,
            positions=sum(s.count for s in sums.values()),
            details={f"error of {name}": s.error for name, s in sums.items()},
        )


@dataclass(frozen=True)
class _Sums:
    """What was seen of one output so far."""

    difference: float = 0.0  # sum of squares; infinite where something cannot be compared
    power: float = 0.0  # sum of the reference's squares
    count: int = 0
    same: int = 0
    decided: bool = False  # integers or truth values

    @property
    def error(self) -> float:
        if math.isinf(self.difference):
            return math.inf
        if self.decided:
            return 1 - self.same / self.count if self.count else 0.0
        if self.difference == 0:
            return 0.0
        return math.sqrt(self.difference / self.power) if self.power else math.inf

    def plus(self, expected: Array, observed: Array | None) -> _Sums:
        """Return the sums with one more frame."""
        decided = not np.issubdtype(expected.dtype, np.floating)
        power, count = self.power, self.count + expected.size
        if not isinstance(observed, np.ndarray) or observed.shape != expected.shape:
            return _Sums(math.inf, power, count, self.same, decided)
        if decided:
            same = self.same + int((expected == observed).sum())
            return _Sums(self.difference, power, count, same, decided=True)
        old, new = expected.astype(np.float64), observed.astype(np.float64)
        finite = np.isfinite(old)
        if not np.array_equal(old[~finite], new[~finite], equal_nan=True):
            return _Sums(math.inf, power, count, self.same, decided)
        difference = float(((new[finite] - old[finite]) ** 2).sum())
        if math.isnan(difference):
            difference = math.inf
        power += float((old[finite] ** 2).sum())
        return _Sums(self.difference + difference, power, count, self.same, decided)


def _frames(
    runner: Runner,
    probe: Probe,
    bound: Mapping[str, Array],
    seed: tuple[int, ...],
    split: Split,
) -> Iterator[Frame]:
    generator = np.random.default_rng(seed)
    states = probe.first_states()
    for number in range(_FRAMES[split]):
        feeds = {**probe.frame(generator, number), **states, **bound}
        outputs = arrays(runner.run(feeds))
        yield feeds, outputs
        states = {name: outputs[output] for name, output in probe.states.items()}


def _bound(runner: Runner, values: Mapping[str, float]) -> dict[str, Array]:
    """Return the inputs whose value is given; open sizes are 1.

    Errors:
        InputError: the model has no such input.
    """
    found: dict[str, Array] = {}
    for name, value in values.items():
        kind = _known_type(runner, name)
        shape = next(port.shape for port in runner.inputs if port.name == name)
        found[name] = np.full([s if isinstance(s, int) else 1 for s in shape], value, kind)
    return found


def _ranges(
    runner: Runner, values: Mapping[str, tuple[float, float]]
) -> Mapping[str, tuple[float, float]]:
    """Return ``values`` as they are.

    Errors:
        ConfigError: the second number is the smaller one.
        InputError: the model has no such input.
    """
    for name, (low, high) in values.items():
        _known_type(runner, name)
        if not low <= high:
            raise ConfigError(
                f"no number is from {low:g} to {high:g}", hint=f"{name} = [least, largest]"
            )
    return values


def _known_type(runner: Runner, name: str) -> type[np.generic]:
    kind = port_type(runner, name)
    if kind is None:
        raise InputError(
            f"the model has no input {name!r}",
            hint=f"its inputs: {', '.join(port.name for port in runner.inputs)}",
        )
    return kind


def task(options: Options, files: Mapping[str, Path]) -> Task:
    """Return the task; it needs no files."""
    del files
    return Unknown(options)
