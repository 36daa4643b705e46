"""From the nouns to the flat rows of ``report.json``: ``Report`` -> plain JSON data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from toolchain.ir import (
    ArtifactRow,
    Candidate,
    FileRow,
    Finding,
    Interval,
    LedgerRow,
    Machine,
    Measure,
    ModelSearch,
    Report,
    Sizes,
    Verdict,
)
from toolchain.render.document import (
    ArtifactObject,
    CandidateObject,
    FileObject,
    FindingObject,
    IntervalObject,
    LedgerObject,
    MachineObject,
    MeasureObject,
    ModelObject,
    ReportObject,
    SessionObject,
    SizesObject,
    VerdictObject,
)
from toolchain.tables import dump

_EXACT = 2**53  # whole numbers below this are the same as int and as JSON number


def document(report: Report) -> ReportObject:
    """Return ``report`` as plain JSON data, keys in the published order."""
    here = report.machine
    found: ReportObject = {
        "schema_version": cast("Any", report.schema_version),
        "version": report.version,
        "target": report.target,
        "machine": _machine_object(here),
        "codecs": _joined(report.codecs),
        "totals": {stage: _sizes_object(sizes) for stage, sizes in report.totals},
        "verdicts": [_verdict_object(v) for v in report.verdicts],
        "measures": [_measure_object(m, here) for m in report.measures],
        "baseline": [_measure_object(m, here) for m in report.baseline],
        "ledger": [_ledger_object(row) for row in report.ledger],
        "findings": [_finding_object(f) for f in report.findings],
        "relations": dict(report.relations),
        "turns": [{"clip": clip, "texts": _joined(texts)} for clip, texts in report.turns],
        "models": [_model_object(m) for m in report.models],
        "notes": list(report.notes),
        "files": [_file_object(row) for row in report.files],
        "artifacts": [_artifact_object(row) for row in report.artifacts],
    }
    if report.sessions:
        found["sessions"] = [cast("SessionObject", dump(one)) for one in report.sessions]
    if report.across_machines:
        found["across_machines"] = True
    return found


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return ``pairs`` as an object; a name given twice keeps both values."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _number(value: float) -> float:
    """Return whole numbers as ``int``: 4000000, not 4000000.0, whoever measured them."""
    return int(value) if abs(value) < _EXACT and value == int(value) else value


def _sizes_object(sizes: Sizes) -> SizesObject:
    return {"raw": sizes.raw, "gzip": sizes.gzip, "brotli": sizes.brotli, "zstd": sizes.zstd}


def _machine_object(machine: Machine) -> MachineObject:
    found: MachineObject = {
        "cpu": machine.cpu,
        "cores": machine.cores,
        "memory_bytes": machine.memory_bytes,
        "system": machine.system,
        "python": machine.python,
        "versions": _joined(machine.versions),
    }
    if machine.governor is not None:
        found["governor"] = machine.governor
    if machine.limits is not None:
        found["limits"] = {name: _number(amount) for name, amount in machine.limits}
    if machine.load is not None:
        found["load"] = _number(machine.load)
    return found


def _measure_object(measure: Measure, here: Machine) -> MeasureObject:
    found: MeasureObject = {
        "name": measure.name,
        "unit": measure.unit,
        "samples": [_number(sample) for sample in measure.samples],
    }
    if measure.machine != here:
        found["machine"] = _machine_object(measure.machine) if measure.machine else None
    elif measure.machine.load != here.load:  # all else is equal: said once, in the report
        found["load"] = measure.machine.load
    if measure.clocked is not None:
        found["clocked"] = measure.clocked
    if measure.looks > 1:
        found["looks"] = measure.looks
    return found


def _verdict_object(verdict: Verdict) -> VerdictObject:
    budget = verdict.budget
    found: VerdictObject = {
        "measure": budget.measure,
        "unit": budget.unit,
        "limit": _number(budget.limit),
        "observed": None if verdict.observed is None else _number(verdict.observed),
        "state": verdict.state,
        "why": budget.why,
        "percentile": _number(budget.percentile),
        "at_least": budget.at_least,
    }
    if verdict.interval is not None:
        found["interval"] = _interval_object(verdict.interval)
    return found


def _interval_object(interval: Interval) -> IntervalObject:
    low, high = (None if end is None else _number(end) for end in (interval.low, interval.high))
    return {
        "low": low,
        "high": high,
        "confidence": interval.confidence,
        "samples": interval.samples,
        "needed": interval.needed,
    }


def _ledger_object(row: LedgerRow) -> LedgerObject:
    found: LedgerObject = {
        "pass": row.step,
        "artifact": row.artifact,
        "before": row.before,
        "after": row.after,
        "seconds": _number(row.seconds),
        "proof": {"name": row.proof.name, "holds": row.proof.holds, "detail": row.proof.detail},
        "kept": row.kept,
        "cached": row.cached,
    }
    if row.candidates:
        found["candidates"] = [_candidate_object(one) for one in row.candidates]
    return found


def _candidate_object(one: Candidate) -> CandidateObject:
    return {
        "name": one.name,
        "seconds": _number(one.seconds),
        "fate": one.fate,
        "size": one.size,
        "detail": one.detail,
    }


def _finding_object(finding: Finding) -> FindingObject:
    row: FindingObject = {
        "check": finding.check,
        "where": finding.where,
        "message": finding.message,
        "advice": finding.advice,
        "cost": finding.cost,
        "severity": finding.severity,
        "evidence": list(finding.evidence),
    }
    return {**row, "holds": finding.holds} if finding.holds else row


def _model_object(model: ModelSearch) -> ModelObject:
    return cast("ModelObject", dump(model))  # the nouns are flat already


def _file_object(row: FileRow) -> FileObject:
    return {
        "stage": row.stage,
        "id": row.id,
        "kind": row.kind,
        "package": row.package,
        "digest": row.digest,
        "reachable": row.reachable,
        "core": row.core,
        **_sizes_object(row.sizes),
        "facts": _joined(row.facts),
    }


def _artifact_object(row: ArtifactRow) -> ArtifactObject:
    found: ArtifactObject = {
        "stage": row.stage,
        "id": row.id,
        "kind": row.kind,
        "owner": row.owner,
        "raw": row.sizes.raw,
        "gzip": row.sizes.gzip,
        "brotli": row.sizes.brotli,
        "zstd": row.sizes.zstd,
    }
    if row.facts:  # most owners, of tens of thousands, have none
        found["facts"] = _joined(row.facts)
    return found
