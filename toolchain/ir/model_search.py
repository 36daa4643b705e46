"""How a model was quantized: the points tried, what each costs, and what runs on each target."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.units import Bytes

LOSSLESS = "lossless"
"""The family of a model that was packed and not searched: every bit of it is kept."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One setting of the whole model: how large it is, and how far from the original."""

    size: Bytes  # entropy-coded, as it would be downloaded
    error: float  # in the unit of the task
    agreement: float  # share of decisions that are the same
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class TensorChoice:
    """What became of one weight."""

    name: str
    representation: str  # for people: "int8 weights, 31 levels", "as it was"
    before: Bytes  # as stored in the model
    after: Bytes  # entropy-coded


@dataclass(frozen=True, slots=True)
class Execution:
    """One format, stored and opened in one way, in which the model can run on a target.

    A figure that could not be measured is None, and ``why`` says what happened.
    """

    target: str
    format: str
    setting: str = ""  # of the target: how it is stored and opened
    latency_ms: float | None = None  # CPU time of a call: a median of means over the task's feeds
    load_ms: float | None = None  # CPU time to open the model
    peak: Bytes | None = None  # most memory while it ran, above that with a tiny model
    size: Bytes | None = None  # of the materialized files
    chosen: bool = False
    why: str = ""  # why it was chosen, or lost


@dataclass(frozen=True, slots=True)
class ModelSearch:
    """One model that travels as a package."""

    artifact: str  # id of the package
    family: str  # the task, "vad", "stt" ...; or ``LOSSLESS``
    unit: str  # of ``error``
    error: float  # on the confirmation data
    agreement: float
    positions: int  # decisions compared there
    error_limit: float | None
    agreement_limit: float | None
    before: Bytes  # the model's brotli size, at the level of the release
    after: Bytes  # the package's size
    evaluations: int
    points: tuple[OperatingPoint, ...]
    tensors: tuple[TensorChoice, ...]
    executions: tuple[Execution, ...] = ()
