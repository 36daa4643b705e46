"""From the flat rows of ``report.json`` back to the nouns: validated JSON data -> ``Report``."""

from __future__ import annotations

from dataclasses import replace

from toolchain.ir import (
    ArtifactId,
    ArtifactRow,
    Budget,
    Candidate,
    Digest,
    FileRow,
    Finding,
    Interval,
    LedgerRow,
    Machine,
    Measure,
    ModelSearch,
    Proof,
    Report,
    SessionChoice,
    Sizes,
    Verdict,
)
from toolchain.render.document import (
    ArtifactObject,
    CandidateObject,
    FileObject,
    FindingObject,
    LedgerObject,
    MachineObject,
    MeasureObject,
    ReportObject,
    SizesObject,
    VerdictObject,
)
from toolchain.tables import check
from toolchain.units import Bytes, Seconds


def restore(found: ReportObject) -> Report:
    """Return the report that ``flatten.document`` flattened."""
    here = _machine(found["machine"])
    return Report(
        target=found["target"],
        version=found["version"],
        machine=here,
        codecs=tuple(found["codecs"].items()),
        files=tuple(_file(row) for row in found["files"]),
        artifacts=tuple(
            ArtifactRow(
                row["stage"],
                row["id"],
                row["kind"],
                row["owner"],
                _sizes(row),
                tuple(row.get("facts", {}).items()),
            )
            for row in found["artifacts"]
        ),
        totals=tuple((stage, _sizes(sizes)) for stage, sizes in found["totals"].items()),
        relations=tuple(found["relations"].items()),
        ledger=tuple(_ledger_row(row) for row in found["ledger"]),
        findings=tuple(_finding(row) for row in found["findings"]),
        measures=tuple(_measure(row, here) for row in found["measures"]),
        baseline=tuple(_measure(row, here) for row in found["baseline"]),
        verdicts=tuple(_verdict(row) for row in found["verdicts"]),
        notes=tuple(found["notes"]),
        turns=tuple((turn["clip"], tuple(turn["texts"].items())) for turn in found["turns"]),
        models=check(found["models"], tuple[ModelSearch, ...], where="models"),
        sessions=check(found.get("sessions", []), tuple[SessionChoice, ...], where="sessions"),
        across_machines=found.get("across_machines", False),
        schema_version=found["schema_version"],
    )


def _sizes(row: SizesObject | FileObject | ArtifactObject) -> Sizes:
    return Sizes(Bytes(row["raw"]), Bytes(row["gzip"]), Bytes(row["brotli"]), Bytes(row["zstd"]))


def _machine(row: MachineObject) -> Machine:
    return Machine(
        cpu=row["cpu"],
        cores=row["cores"],
        memory_bytes=row["memory_bytes"],
        system=row["system"],
        python=row["python"],
        versions=tuple(row["versions"].items()),
        governor=row.get("governor"),
        limits=tuple(row["limits"].items()) if "limits" in row else None,
        load=row.get("load"),
    )


def _measure(row: MeasureObject, here: Machine) -> Measure:
    return Measure(
        row["name"],
        row["unit"],
        tuple(row["samples"]),
        _measured_on(row, here),
        row.get("clocked"),
        row.get("looks", 1),
    )


def _measured_on(row: MeasureObject, here: Machine) -> Machine | None:
    if "machine" in row:
        return None if row["machine"] is None else _machine(row["machine"])
    return replace(here, load=row["load"]) if "load" in row else here


def _verdict(row: VerdictObject) -> Verdict:
    budget = Budget(
        measure=row["measure"],
        unit=row["unit"],
        limit=row["limit"],
        why=row["why"],
        percentile=row["percentile"],
        at_least=row["at_least"],
    )
    interval = Interval(**row["interval"]) if "interval" in row else None
    return Verdict(budget, row["observed"], row["state"], interval)


def _ledger_row(row: LedgerObject) -> LedgerRow:
    proof = row["proof"]
    return LedgerRow(
        step=row["pass"],
        artifact=row["artifact"],
        before=Bytes(row["before"]),
        after=Bytes(row["after"]),
        seconds=Seconds(row["seconds"]),
        proof=Proof(proof["name"], proof["holds"], proof["detail"]),
        kept=row["kept"],
        cached=row["cached"],
        candidates=tuple(_candidate(one) for one in row.get("candidates", ())),
    )


def _candidate(row: CandidateObject) -> Candidate:
    size = None if row["size"] is None else Bytes(row["size"])
    return Candidate(row["name"], Seconds(row["seconds"]), row["fate"], size, row["detail"])


def _finding(row: FindingObject) -> Finding:
    return Finding(
        check=row["check"],
        where=ArtifactId(row["where"]),
        message=row["message"],
        advice=row["advice"],
        cost=None if row["cost"] is None else Bytes(row["cost"]),
        severity=row["severity"],
        evidence=tuple(row["evidence"]),
        holds=Bytes(row.get("holds", 0)),
    )


def _file(row: FileObject) -> FileRow:
    return FileRow(
        stage=row["stage"],
        id=row["id"],
        kind=row["kind"],
        package=row["package"],
        digest=Digest(row["digest"]),
        reachable=row["reachable"],
        core=row["core"],
        sizes=_sizes(row),
        facts=tuple(row["facts"].items()),
    )
