"""The nouns of vtool: what an artifact, a graph, a finding, a measure and a verdict are."""

from toolchain.ir.artifact import (
    FILE_KINDS,
    OWNERSHIP,
    PART_KINDS,
    Artifact,
    ArtifactId,
    Edge,
    Kind,
    Relation,
    part_id,
)
from toolchain.ir.finding import Finding, Severity
from toolchain.ir.graph import Graph
from toolchain.ir.ledger import Candidate, Fate, LedgerRow, Proof
from toolchain.ir.machine import Machine
from toolchain.ir.measure import Budget, Measure, State, Verdict
from toolchain.ir.model_search import LOSSLESS, Execution, ModelSearch, OperatingPoint, TensorChoice
from toolchain.ir.observation import Observation, Play
from toolchain.ir.order_statistics import Interval
from toolchain.ir.report import ArtifactRow, FileRow, Report, Sizes, Stage
from toolchain.ir.session_choice import SessionChoice, Tuning
from toolchain.ir.store import Digest, DirectoryStore, MemoryStore, Store, digest_of

__all__ = [
    "FILE_KINDS",
    "LOSSLESS",
    "OWNERSHIP",
    "PART_KINDS",
    "Artifact",
    "ArtifactId",
    "ArtifactRow",
    "Budget",
    "Candidate",
    "Digest",
    "DirectoryStore",
    "Edge",
    "Execution",
    "Fate",
    "FileRow",
    "Finding",
    "Graph",
    "Interval",
    "Kind",
    "LedgerRow",
    "Machine",
    "Measure",
    "MemoryStore",
    "ModelSearch",
    "Observation",
    "OperatingPoint",
    "Play",
    "Proof",
    "Relation",
    "Report",
    "SessionChoice",
    "Severity",
    "Sizes",
    "Stage",
    "State",
    "Store",
    "TensorChoice",
    "Tuning",
    "Verdict",
    "digest_of",
    "part_id",
]
