"""Made-up inputs for any model: sizes it accepts, seeded numbers, states fed back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from types import MappingProxyType

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.onnx_runner import Runner, SessionRunner
from toolchain.formats.state_names import successors

Array = NDArray[np.generic]

_TYPES = {
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
}
# Tried for each dimension that may have any size, smallest first: batches and single steps, short
# sequences, windows of audio (512 and 576 samples are a frame at 16 kHz, 16000 a second).
_SIZES = (1, 2, 4, 16, 64, 256, 512, 576, 1024, 16_000)
_TRIALS = 1_000  # ours: combinations of sizes to try; most models run with the first or second
_FREE = 4  # ours: more open sizes than these stay 1; a model's are batch, time, past, features
_MOST_ELEMENTS = 1_000_000  # ours: of one input; enough to compare, little to compute
_LEVELS = (0.0, 0.003, 0.03, 0.3, 1.0)  # amplitudes, from silence to full scale
# Lengths and indices are nonnegative and most may be eight; segments, flags and speakers may be
# two. Tried in this order, for inputs that choose no rows of a stored table.
_INTEGERS = (8, 2)
_LONG, _LONGER_UP_TO = 16, 1024
"""Ours: a few words or characters, what states need to build up; windows of audio, of which four
are as good."""

Range = tuple[float, float]  # least and largest, both included


@dataclass(frozen=True)
class Probe:
    """Fixed sizes for all inputs but the ``bound`` ones, with which the model runs."""

    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, type[np.generic]]
    states: Mapping[str, str]  # input -> the output that is its next value
    integers: int = _INTEGERS[0]  # integer inputs without a range are below
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def frame(self, generator: np.random.Generator, number: int) -> dict[str, Array]:
        """Return inputs for frame ``number``; its level rises and falls with the number."""
        level = _LEVELS[number % len(_LEVELS)]
        return {
            name: _between(generator, shape, self.types[name], self.ranges[name])
            if name in self.ranges
            else _numbers(generator, shape, self.types[name], level, self.integers)
            for name, shape in self.shapes.items()
        }

    def first_states(self) -> dict[str, Array]:
        """Return zeros for the states."""
        return {name: np.zeros(self.shapes[name], self.types[name]) for name in self.states}


def input_type(opened: onnxruntime.InferenceSession, name: str) -> type[np.generic] | None:
    """Return the type of an input's numbers; None if there is no such input.

    Errors:
        InputError: the input is no tensor of numbers.
    """
    return port_type(SessionRunner(opened), name)


def port_type(runner: Runner, name: str) -> type[np.generic] | None:
    """Return the type of an input's numbers; None if there is no such input.

    Errors:
        InputError: the input is no tensor of numbers.
    """
    for value in runner.inputs:
        if value.name == name:
            if value.type not in _TYPES:
                raise InputError(f"the input {name!r} is a {value.type}, which cannot be made up")
            return _TYPES[value.type]
    return None


def probes(
    opened: onnxruntime.InferenceSession,
    bound: Mapping[str, Array],
    shapes: Mapping[str, Sequence[int]],
    *,
    limit: int,
) -> list[Probe]:
    """Return up to ``limit`` probes, of different sizes, with which the model runs.

    ``bound`` inputs keep their values; ``shapes`` are given, all other open sizes are tried.

    Errors:
        InputError: an input is no tensor of numbers, or the model runs with none of the sizes.
    """
    return runner_probes(SessionRunner(opened), bound, shapes, limit=limit)


def runner_probes(
    runner: Runner,
    bound: Mapping[str, Array],
    shapes: Mapping[str, Sequence[int]],
    *,
    limit: int,
    ranges: Mapping[str, Range] = MappingProxyType({}),
) -> list[Probe]:
    """Return up to ``limit`` probes, as ``probes`` does, for anything that can be run.

    Inputs that choose rows of a stored table get all its row numbers, others ``ranges``.

    Errors:
        InputError: an input is no tensor of numbers, or the model runs with none of the sizes.
    """
    names = [value.name for value in runner.inputs if value.name not in bound]
    types = {name: port_type(runner, name) or np.float32 for name in names}
    declared = _declared(runner, shapes)
    found: list[Probe] = []
    complaint = ""
    sizes_of = {name: declared[name] for name in names}
    rows = {p.name: (0.0, p.rows - 1.0) for p in runner.inputs if p.rows}
    within = {name: one for name, one in (rows | dict(ranges)).items() if name in types}
    for most, sizes in product(_INTEGERS, islice(_combinations(sizes_of), _TRIALS)):
        if found and found[0].integers != most:
            break
        probe = Probe(sizes, types, {}, most, within)
        try:
            outputs = runner.run({**probe.frame(np.random.default_rng(0), 1), **bound})
        except InputError as error:
            complaint = complaint or str(error)
            continue
        found.append(replace(probe, states=_states(probe, outputs)))
        if len(found) == limit:
            break
    if not found:
        raise InputError(f"no probe runs: {complaint}")
    return found


def _declared(
    runner: Runner, shapes: Mapping[str, Sequence[int]]
) -> dict[str, list[int | str | None]]:
    """Return the sizes of all inputs; a name that ``shapes`` gives a number has it everywhere."""
    named = {
        size: number
        for value in runner.inputs
        for size, number in zip(value.shape, shapes.get(value.name, ()), strict=False)
        if isinstance(size, str)
    }
    return {
        value.name: [*shapes[value.name]]
        if value.name in shapes
        else [named.get(size, size) if isinstance(size, str) else size for size in value.shape]
        for value in runner.inputs
    }


def _combinations(
    declared: Mapping[str, Sequence[int | str | None]],
) -> Iterator[dict[str, tuple[int, ...]]]:
    """Yield sizes for all inputs; dimensions of one name get one size."""
    keys = _open_sizes(declared)
    free = list(dict.fromkeys(keys.values()))
    choices = sorted(product(range(len(_SIZES)), repeat=min(len(free), _FREE)), key=sum)
    for choice in choices:
        sizes = dict(zip(free, (_SIZES[i] for i in choice), strict=False))
        shapes = {
            name: tuple(
                size if isinstance(size, int) else sizes.get(keys[name, axis], 1)
                for axis, size in enumerate(shape)
            )
            for name, shape in declared.items()
        }
        if all(math.prod(shape) <= _MOST_ELEMENTS for shape in shapes.values()):
            yield shapes


def longer_probes(
    runner: Runner,
    smallest: Probe,
    bound: Mapping[str, Array],
    shapes: Mapping[str, Sequence[int]],
) -> list[Probe]:
    """Return ``smallest`` with one open size after the other longer, where the model runs so.

    One step of a sequence does not tell what becomes of errors on its way through a state.
    """
    declared = _declared(runner, shapes)
    keys = _open_sizes({name: declared[name] for name in smallest.shapes})
    found = []
    for longer in list(dict.fromkeys(keys.values()))[:_FREE]:
        sizes = {
            name: tuple(
                _longer(size) if keys.get((name, axis)) == longer else size
                for axis, size in enumerate(shape)
            )
            for name, shape in smallest.shapes.items()
        }
        probe = replace(smallest, shapes=sizes)
        if sizes == smallest.shapes or any(math.prod(s) > _MOST_ELEMENTS for s in sizes.values()):
            continue
        try:
            outputs = runner.run({**probe.frame(np.random.default_rng(0), 1), **bound})
        except InputError:  # the size belongs to another one
            continue
        found.append(replace(probe, states=_states(probe, outputs)))
    return found


def _longer(size: int) -> int:
    if size < _LONG:
        return _LONG
    return 4 * size if size <= _LONGER_UP_TO else size


def _open_sizes(
    declared: Mapping[str, Sequence[int | str | None]],
) -> dict[tuple[str, int], str | tuple[str, int]]:
    """Return, of each open size by input and axis, what it is called; those alike are one size."""
    return {
        (name, axis): size if isinstance(size, str) else (name, axis)
        for name, shape in declared.items()
        for axis, size in enumerate(shape)
        if not isinstance(size, int)
    }


def _states(probe: Probe, outputs: Mapping[str, Array]) -> dict[str, str]:
    """Pair inputs with the outputs that continue them in the same type and shape.

    A sequence or map, which an output may be, continues nothing.
    """
    given: Mapping[str, object] = outputs
    arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    found = {}
    for name, shape in probe.shapes.items():
        fitting = [
            output
            for output, value in arrays.items()
            if value.shape == shape and value.dtype == probe.types[name]
        ]
        found.update(successors([name], fitting))
    return found


def _between(
    generator: np.random.Generator,
    shape: tuple[int, ...],
    dtype: type[np.generic],
    limits: Range,
) -> Array:
    low, high = limits
    if issubclass(dtype, np.floating):
        return generator.uniform(low, high, shape).astype(dtype)
    return generator.integers(int(low), int(high) + 1, shape).astype(dtype)


def _numbers(
    generator: np.random.Generator,
    shape: tuple[int, ...],
    dtype: type[np.generic],
    level: float,
    integers: int,
) -> Array:
    """Return numbers of a type: noise that wanders as audio does, small integers, coin flips."""
    if issubclass(dtype, np.floating):
        noise = generator.standard_normal(shape)
        wander: NDArray[np.float64] = np.cumsum(noise, axis=-1) if shape else noise
        peak = np.abs(wander).max(initial=1e-9)
        audio: NDArray[np.float64] = level * (0.8 * wander / peak + 0.05 * noise)
        return audio.astype(dtype)
    if dtype is np.bool_:
        return generator.integers(0, 2, shape).astype(np.bool_)
    return generator.integers(0, integers, shape).astype(dtype)
