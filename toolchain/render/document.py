"""The shape of ``report.json``: what every key is called and may hold.

``reports/report.schema.json`` is written from these types. A change here that an older reader
would misread needs a new ``SCHEMA_VERSION`` in ``toolchain/ir/report.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import AllowInfNan, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic refuses typing's own before Python 3.12

from toolchain.ir import Fate, Kind, Severity, Stage, State
from toolchain.ir.measure import Unit
from toolchain.ir.order_statistics import MOST_LOOKS
from toolchain.ir.report import SCHEMA_VERSION

Size = Annotated[int, Field(ge=0)]  # bytes
Number = Annotated[float, AllowInfNan(allow_inf_nan=False)]  # JSON has no NaN and no infinity
Percent = Annotated[float, Field(ge=0, le=100)]

_closed = with_config(ConfigDict(extra="forbid"))


@_closed
class SizesObject(TypedDict):
    """Bytes, raw and as compressed by each codec on its own."""

    raw: Size
    gzip: Size
    brotli: Size
    zstd: Size


@_closed
class ArtifactObject(TypedDict):
    """One owner of bytes; ``owner`` is the id of the file it lies in. Rows sum to ``totals``.

    ``facts`` are there where there are some: type, shape and readers of a tensor.
    """

    stage: Stage
    id: str
    kind: Kind
    owner: str
    raw: Size
    gzip: Size
    brotli: Size
    zstd: Size
    facts: NotRequired[dict[str, str]]


@_closed
class FileObject(TypedDict):
    """One whole file. ``core``: downloaded before the application can listen."""

    stage: Stage
    id: str
    kind: Kind
    package: str
    digest: str
    reachable: bool
    core: bool
    raw: Size
    gzip: Size
    brotli: Size
    zstd: Size
    facts: dict[str, str]


@_closed
class MachineObject(TypedDict):
    """Where something was measured; what is missing is not known.

    ``limits`` of the container: "cpu" in cores, "memory" in bytes. ``load``: mean of a minute.
    """

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    versions: dict[str, str]
    governor: NotRequired[str]
    limits: NotRequired[dict[str, Number]]
    load: NotRequired[Number]


@_closed
class ProofObject(TypedDict):
    """How a rewrite was verified, and what was compared."""

    name: str
    holds: bool
    detail: str


@_closed
class CandidateObject(TypedDict):
    """One of several results of a pass; ``size`` is in brotli, null where nothing was made."""

    name: str
    seconds: Number
    fate: Fate
    size: Size | None
    detail: str


# the functional form, because ``pass`` is a Python keyword
LedgerObject = TypedDict(
    "LedgerObject",
    {
        "pass": str,
        "artifact": str,
        "before": Size,
        "after": Size,
        "seconds": Number,
        "proof": ProofObject,
        "kept": bool,
        "cached": bool,
        "candidates": NotRequired[list[CandidateObject]],
    },
)
_closed(LedgerObject)
LedgerObject.__doc__ = """One pass on one artifact; ``before`` and ``after`` are delivered bytes.

``candidates`` are on the first row of a pass that let several results compete.
"""


@_closed
class FindingObject(TypedDict):
    """A problem in what was analyzed; ``cost`` is null where the saving was not measured.

    ``holds``, where it is more than 0, are the bytes that cannot be judged before it is fixed.
    """

    check: str
    where: str
    message: str
    advice: str
    cost: int | None
    severity: Severity
    evidence: list[str]
    holds: NotRequired[int]


@_closed
class MeasureObject(TypedDict):
    """Raw samples. No ``machine``: the report's machine; null: not known; an object: another.

    ``load`` is there where the machine's was another than the report's says, null where not known.
    ``clocked`` and ``looks`` are there where the unit does not say it, or there were several.
    """

    name: str
    unit: Unit
    samples: list[Number]
    machine: NotRequired[MachineObject | None]
    load: NotRequired[Number | None]
    clocked: NotRequired[bool]
    looks: NotRequired[Annotated[int, Field(ge=1, le=MOST_LOOKS)]]


@_closed
class IntervalObject(TypedDict):
    """Bounds of a percentile, each by itself with ``confidence``; null: too few samples for it."""

    low: Number | None
    high: Number | None
    confidence: Annotated[float, Field(gt=0, lt=1)]
    samples: Size
    needed: Size


@_closed
class VerdictObject(TypedDict):
    """A budget and what was observed at its percentile; null where nobody measured.

    ``interval`` is there where the percentile is known only within bounds: of wall times.
    """

    measure: str
    unit: Unit
    limit: Number
    observed: Number | None
    state: State
    why: str
    percentile: Percent
    at_least: bool
    interval: NotRequired[IntervalObject]


@_closed
class TurnObject(TypedDict):
    """One spoken turn: the clip, and texts by name ("transcript before", "transcript after")."""

    clip: str
    texts: dict[str, str]


@_closed
class PointObject(TypedDict):
    """One setting of a whole model: entropy-coded bytes and distance from the original."""

    size: Size
    error: Number
    agreement: Number
    chosen: bool


@_closed
class TensorObject(TypedDict):
    """What became of one weight; bytes as stored in the model, and entropy-coded."""

    name: str
    representation: str
    before: Size
    after: Size


@_closed
class ExecutionObject(TypedDict):
    """One format and setting in which a model can run on a target; null where not measured."""

    target: str
    format: str
    setting: str
    latency_ms: Number | None
    load_ms: Number | None
    peak: Size | None
    size: Size | None
    chosen: bool
    why: str


@_closed
class ModelObject(TypedDict):
    """One model that travels as a package; ``before`` and ``after`` are bytes of the download."""

    artifact: str
    family: str
    unit: str
    error: Number
    agreement: Number
    positions: int
    error_limit: Number | None
    agreement_limit: Number | None
    before: Size
    after: Size
    evaluations: int
    points: list[PointObject]
    tensors: list[TensorObject]
    executions: list[ExecutionObject]


@_closed
class SessionObject(TypedDict):
    """How a model is opened on this machine; figures are [as usual, as chosen], null: none."""

    artifact: str
    stage: str
    usual: str
    chosen: str
    why: str
    bits: str
    run_ms: list[Number] | None
    load_ms: list[Number] | None
    held: list[Size] | None
    most: list[Size] | None


@_closed
class ReportObject(TypedDict):
    """What one run of vtool found out."""

    schema_version: Annotated[Literal[1], Field(description="changes when a reader must change")]
    version: str
    target: str
    machine: MachineObject
    codecs: dict[str, str]
    totals: dict[Stage, SizesObject]
    verdicts: list[VerdictObject]
    measures: list[MeasureObject]
    baseline: list[MeasureObject]
    ledger: list[LedgerObject]
    findings: list[FindingObject]
    relations: dict[str, int]
    turns: list[TurnObject]
    models: list[ModelObject]
    notes: list[str]
    files: list[FileObject]
    artifacts: list[ArtifactObject]
    sessions: NotRequired[list[SessionObject]]
    across_machines: NotRequired[bool]


assert SCHEMA_VERSION == 1, "the types above describe version 1"  # noqa: S101 - kept in step
