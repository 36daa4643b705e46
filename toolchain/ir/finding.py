"""A problem in what is analyzed: a value with an id, a place, a cost and advice."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from toolchain.ir.artifact import ArtifactId
from toolchain.units import Bytes


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` found something at ``where``; fixing it was measured to save ``cost`` bytes.

    ``cost`` is None where the saving was not measured: unknown is a word, not a zero. ``holds``
    are the bytes that nobody can judge before it is fixed; what of them is saved depends on the
    fix.
    """

    check: str
    where: ArtifactId
    message: str
    advice: str
    cost: Bytes | None = None
    severity: Severity = Severity.WARNING
    evidence: tuple[str, ...] = field(default=())
    holds: Bytes = field(default=Bytes(0))
