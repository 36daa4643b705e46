"""Where an application's bytes, time and memory go, and what to do: one versioned document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolchain.ir.machine import Machine
from toolchain.ir.measure import Measure
from toolchain.ir.recommendation import Recommendation, Tried
from toolchain.ir.timeline import Timeline
from toolchain.units import Bytes

PROFILE_VERSION = 1
"""Grows when a reader of the last version would misread the document."""


@dataclass(frozen=True, slots=True)
class PackageCode:
    """What one package weighs, and what of its code an application takes.

    ``imported`` are the minified bytes of its modules in a bundle without tree shaking, ``kept`` in
    one with it. The efficiency is the share that tree shaking leaves out; None is unknown: no
    module of it is in a bundle, or all are CommonJS, which a bundler takes as a whole.
    """

    name: str
    size: Bytes  # all files, as installed
    gzip_size: Bytes  # each file by itself
    modules: int  # in the bundle
    imported: Bytes | None = None
    kept: Bytes | None = None
    treeshake_efficiency: float | None = None


@dataclass(frozen=True, slots=True)
class UnusedCode:
    """A module of which the application does not need everything."""

    module: str
    size: Bytes  # as installed, or minified in a bundle without tree shaking
    unused_bytes: Bytes  # of these, measured by leaving them out
    suggestions: tuple[str, ...]
    imported: bool = True  # False: no entry reaches it


@dataclass(frozen=True, slots=True)
class BundleAnalysis:
    """What is delivered, and what of it nobody needs."""

    total_size: Bytes
    total_gzip_size: Bytes
    packages: tuple[PackageCode, ...]
    unused_code: tuple[UnusedCode, ...]
    imported: Bytes | None = None  # code in the bundle without tree shaking
    kept: Bytes | None = None  # with it
    installed: Bytes | None = None  # the same modules as they lie in their packages
    treeshake_efficiency: float | None = None
    notes: tuple[str, ...] = ()  # what is unknown, and why


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Bytes of the process; a sample a process."""

    initial: Measure  # before the first model
    peak: Measure | None  # None: this system does not say
    after_gc: Measure  # at the end, after collection
    stages: Mapping[str, Measure]  # added by opening each


@dataclass(frozen=True, slots=True)
class PipelineLatency:
    """Milliseconds of what is waited for, a sample a turn."""

    vad: Measure  # a frame
    stt: Measure  # an utterance
    llm: Measure  # until the first token
    tts: Measure  # until the first sound
    total: Measure  # from the end of speech to the first sound; includes the silence that decides


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """What one kind of operator took in all runs of a model, without what runs inside of it."""

    operator: str
    calls: int
    ms: float
    share: float  # of the time in operators
    nodes: int


@dataclass(frozen=True, slots=True)
class NodeTime:
    """What one node of a model took in all runs."""

    node: str
    operator: str
    calls: int
    ms: float
    share: float


@dataclass(frozen=True, slots=True)
class ModelTimes:
    """Where the time of one model goes, in one turn for each clip."""

    stage: str
    model: str  # the project's name for the file
    load_ms: float | None  # reading the file; None: not told apart
    initialize_ms: float  # optimizing the graph, packing weights
    runs: int
    runs_ms: float  # in the runtime, operators and what is between them
    operators_ms: float
    operators: tuple[OperatorTime, ...]  # all, the longest first
    nodes: tuple[NodeTime, ...]  # the longest
    threads: int


@dataclass(frozen=True, slots=True)
class RuntimeProfile:
    """How an application starts, answers and remembers."""

    initialization_time: Measure
    memory_usage: MemoryUsage
    pipeline_latency: PipelineLatency
    worker_overhead: Mapping[str, Measure]  # ms a call, by stage, if each had a process
    others: tuple[Measure, ...]  # all else that the harness measured
    timelines: tuple[Timeline, ...]
    models: tuple[ModelTimes, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """The whole document. A half that does not apply is None, and a note says why."""

    target: str
    version: str  # of vtool
    machine: Machine
    bundle_analysis: BundleAnalysis | None = None
    runtime_profile: RuntimeProfile | None = None
    recommendations: tuple[Recommendation, ...] = ()
    tried: tuple[Tried, ...] = ()  # every change that was tried, recommended or not
    notes: tuple[str, ...] = ()
    schema_version: int = PROFILE_VERSION
