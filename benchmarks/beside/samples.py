"""What was measured: who took part, and each answer with its times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolchain.ir import Machine


@dataclass(frozen=True)
class Contestant:
    """A model in a runtime, with so many threads, in a process of its own."""

    name: str
    stage: str  # stt or llm
    threads: int
    base: str  # key of the contestant it is compared with
    what: str  # the weights and the settings, for a reader
    missing: str = ""  # why it does not take part

    @property
    def key(self) -> str:
        """The name of one among all."""
        return f"{self.name}, {self.threads}"


@dataclass(frozen=True)
class Way:
    """How a contestant is started, and what it is told first."""

    command: tuple[str, ...]
    opening: Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """One answer, or one process.

    ``item`` is the clip or question; "" for the process. ``figures`` are in the unit that ends
    their names: of an answer ``total_ms``, ``cpu_ms`` and what the stage adds, of a process
    ``ready_ms``, ``load_ms`` and ``peak_bytes``.
    """

    key: str
    number: int  # of the round
    item: str
    figures: Mapping[str, float]
    text: str = ""
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A clip or a question: what is said in it, and how long it sounds (0 for a question)."""

    item: str
    stage: str
    text: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Found:
    """Everything of one run of the command."""

    machine: Machine  # with the load before the first round
    versions: Mapping[str, str]
    rounds: int
    contestants: tuple[Contestant, ...]
    asked: tuple[Asked, ...]
    samples: tuple[Sample, ...]
    tokens: int = 0  # of each answer of a language model
    stops: tuple[int, ...] = ()  # tokens that end an answer
    failed: Mapping[str, str] = field(default_factory=dict)  # by key: in its own words
