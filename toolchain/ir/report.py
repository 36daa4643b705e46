"""One versioned document with everything a run found: every renderer and diff starts from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from toolchain.ir.artifact import Kind
from toolchain.ir.finding import Finding
from toolchain.ir.ledger import LedgerRow
from toolchain.ir.machine import Machine
from toolchain.ir.measure import Measure, Verdict
from toolchain.ir.model_search import ModelSearch
from toolchain.ir.session_choice import SessionChoice
from toolchain.ir.store import Digest
from toolchain.units import Bytes

SCHEMA_VERSION = 1


class Stage(StrEnum):
    """Before or after the pipeline; ``vtool analyze`` knows only the input."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of one thing, raw and really compressed by each codec on its own."""

    raw: Bytes
    gzip: Bytes
    brotli: Bytes
    zstd: Bytes

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(
            Bytes(self.raw + other.raw),
            Bytes(self.gzip + other.gzip),
            Bytes(self.brotli + other.brotli),
            Bytes(self.zstd + other.zstd),
        )


@dataclass(frozen=True, slots=True)
class FileRow:
    """One whole file; ``sizes`` are of the file as it would be sent."""

    stage: Stage
    id: str
    kind: Kind
    package: str  # the package or top folder it belongs to
    digest: Digest
    reachable: bool
    core: bool  # downloaded before the application can listen
    sizes: Sizes
    facts: tuple[tuple[str, str], ...] = ()  # operators, exports, metadata: for people


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One owner of bytes: a file without parts or one part. Rows of a stage sum to its total."""

    stage: Stage
    id: str
    kind: Kind
    owner: str  # id of the file it lies in
    sizes: Sizes
    facts: tuple[tuple[str, str], ...] = ()  # type, shape, readers of a tensor: for people


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of vtool found out."""

    target: str
    version: str
    machine: Machine
    codecs: tuple[tuple[str, str], ...]  # codec and level behind the sizes
    files: tuple[FileRow, ...]
    artifacts: tuple[ArtifactRow, ...]
    totals: tuple[tuple[Stage, Sizes], ...]
    relations: tuple[tuple[str, int], ...]  # edges of the input graph by relation
    ledger: tuple[LedgerRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    measures: tuple[Measure, ...] = ()
    baseline: tuple[Measure, ...] = ()  # the same measures of the unoptimized application
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    turns: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    models: tuple[ModelSearch, ...] = ()
    sessions: tuple[SessionChoice, ...] = ()
    across_machines: bool = False  # the user asked to compare what two machines measured
    schema_version: int = SCHEMA_VERSION
