"""Draws reports with hostile names and odd numbers, and reads the sample report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from hypothesis import strategies as st

from toolchain.ir import (
    ArtifactId,
    ArtifactRow,
    Budget,
    Candidate,
    Digest,
    Fate,
    FileRow,
    Finding,
    Interval,
    Kind,
    LedgerRow,
    Machine,
    Measure,
    Proof,
    Report,
    Severity,
    Sizes,
    Stage,
    State,
    Verdict,
)
from toolchain.ir.measure import Unit
from toolchain.ir.order_statistics import MOST_LOOKS
from toolchain.render import json_report

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "fixtures" / "reports" / "sample.json"

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    "a\u2028b\u2029c",
    '"quoted" \\ back',
    "\x1b[31mred\x07",
    "[bold]not markup[/bold]",
    "näme 😀 \U0001f469",
    "__proto__",
    "a|b`c`*d*",
    "line\nbreak",
    "",
]

# no lone surrogates: JSON text cannot carry them
names = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
)
sizes_of = st.integers(0, 2**53)
sizes = st.builds(Sizes, *[sizes_of] * 4)
numbers = st.floats(allow_nan=False, allow_infinity=False)
pairs = st.dictionaries(names, names, max_size=3).map(lambda found: tuple(found.items()))
units = st.sampled_from(get_args(Unit))
machines = st.builds(
    Machine,
    cpu=names,
    cores=st.integers(1, 512),
    memory_bytes=sizes_of,
    system=names,
    python=names,
    versions=pairs,
    governor=st.one_of(st.none(), names),
    limits=st.one_of(
        st.none(),
        st.dictionaries(names, numbers, max_size=2).map(lambda found: tuple(found.items())),
    ),
    load=st.one_of(st.none(), st.floats(0, 999)),
)
here = Machine("here", 2, 8_000_000_000, "Linux", "3.11.7", (("vtool", "0"),))
busy = replace(here, load=1.5)
measures = st.builds(
    Measure,
    name=names,
    unit=units,
    samples=st.lists(numbers, max_size=5).map(tuple),
    machine=st.one_of(st.none(), st.just(here), st.just(busy), machines),
    clocked=st.sampled_from([None, False, True]),
    looks=st.integers(1, MOST_LOOKS),
)
budgets = st.builds(
    Budget,
    measure=names,
    unit=units,
    limit=numbers,
    why=names,
    percentile=st.floats(0, 100),
    at_least=st.booleans(),
)
intervals = st.builds(
    Interval,
    low=st.one_of(st.none(), numbers),
    high=st.one_of(st.none(), numbers),
    confidence=st.floats(0.5, 0.999),
    samples=st.integers(0, 10_000),
    needed=st.integers(1, 10_000),
)
verdicts = st.builds(
    Verdict,
    budgets,
    st.one_of(st.none(), numbers),
    st.sampled_from(list(State)),
    st.one_of(st.none(), intervals),
)


def few(what: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """Draw none to three of ``what``."""
    return st.lists(what, max_size=3).map(tuple)


candidates = st.builds(
    Candidate,
    name=names,
    seconds=st.floats(0, 1e6),
    fate=st.sampled_from(list(Fate)),
    size=st.one_of(st.none(), sizes_of),
    detail=names,
)
ledger_rows = st.builds(
    LedgerRow,
    step=names,
    artifact=names,
    before=sizes_of,
    after=sizes_of,
    seconds=st.floats(0, 1e6),
    proof=st.builds(Proof, names, st.booleans(), names),
    kept=st.booleans(),
    cached=st.booleans(),
    candidates=few(candidates),
)
findings = st.builds(
    Finding,
    check=names,
    where=names.map(ArtifactId),
    message=names,
    advice=names,
    cost=st.one_of(st.none(), st.integers(-(2**53), 2**53)),
    severity=st.sampled_from(list(Severity)),
    evidence=st.lists(names, max_size=2).map(tuple),
    holds=st.integers(0, 2**53),
)
stages = st.sampled_from(list(Stage))
kinds = st.sampled_from(list(Kind))
files = st.builds(
    FileRow,
    stage=stages,
    id=names,
    kind=kinds,
    package=names,
    digest=names.map(Digest),
    reachable=st.booleans(),
    core=st.booleans(),
    sizes=sizes,
    facts=pairs,
)
artifacts = st.builds(
    ArtifactRow, stage=stages, id=names, kind=kinds, owner=names, sizes=sizes, facts=pairs
)


reports = st.builds(
    Report,
    target=names,
    version=names,
    machine=st.just(here),
    codecs=pairs,
    files=few(files),
    artifacts=few(artifacts),
    totals=st.dictionaries(stages, sizes).map(lambda found: tuple(found.items())),
    relations=st.dictionaries(names, sizes_of, max_size=3).map(lambda found: tuple(found.items())),
    ledger=few(ledger_rows),
    findings=few(findings),
    measures=few(measures),
    baseline=few(measures),
    verdicts=few(verdicts),
    notes=few(names),
    across_machines=st.booleans(),
    turns=few(st.tuples(names, pairs)),
)


def sample() -> Report:
    """Return the sample report that the page shows when opened from disk."""
    return json_report.read(SAMPLE)
