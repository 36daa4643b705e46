"""Tells which files of a result no browser runs as they are: sources that bundle-js should replace.

Such a result is written whole, with its report; what is wrong is a finding of severity error and a
broken budget, so that the exit code is 1 and every later ``vtool gate`` says the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from toolchain.formats.javascript_mode import MODE, asks_mode
from toolchain.formats.node_resolution import is_builtin
from toolchain.ir import (
    Artifact,
    ArtifactId,
    Budget,
    Finding,
    Graph,
    Kind,
    LedgerRow,
    Measure,
    Relation,
    Severity,
    Store,
)
from toolchain.passes.base import Step
from toolchain.reading import Reading

MEASURE = "code.unrunnable"
_BUNDLER = "bundle-js"
_CODE = frozenset({Kind.JS, Kind.TS})
_RUNS = frozenset({Relation.IMPORT, Relation.LAZY, Relation.WORKER})
_SHOWN = 4  # ours: places in a message; a line or two


def finding(
    graph: Graph,
    readings: Mapping[ArtifactId, Reading],
    store: Store,
    steps: Iterable[Step],
    ledger: Iterable[LedgerRow],
) -> tuple[Finding, ...]:
    """Return the finding about code in the result ``graph`` that no browser runs, if there is any.

    Where no step bundles, the sources are what was asked for, and somebody else's matter.
    """
    bundlers = [step for step in steps if step.run == _BUNDLER]
    if not bundlers:
        return ()
    rows = [row for row in ledger if row.step == _BUNDLER]
    dropped = any(not row.proof.holds for row in rows)
    outside = {name for step in bundlers for name in step.options.get("external", ())}
    conditions = {name for step in bundlers for name in step.options.get("conditions", ())}
    node = "node" in conditions
    found = {}
    for file in _that_run(graph):
        why = _sources(file, readings[file.id])
        if not why and dropped and not node:
            why = _unbundled(file, readings[file.id], store, outside)
        if why:
            found[file.id] = why
    return (_finding(found, rows),) if found else ()


def measures(findings: Iterable[Finding]) -> tuple[Measure, ...]:
    """Return how many files no browser runs, where there are any."""
    return tuple(
        Measure(MEASURE, "count", (float(len(one.evidence)),))
        for one in findings
        if one.check == "unrunnable-code"
    )


def budgets(measured: Iterable[Measure]) -> tuple[Budget, ...]:
    """Return the limit of ``measures``, which no pack needs to set: none."""
    why = "files of the result that no browser runs as they are: see the finding unrunnable-code"
    return tuple(Budget(MEASURE, "count", 0, why) for one in measured if one.name == MEASURE)


def _that_run(graph: Graph) -> list[Artifact]:
    """Return the code that is run from the roots on, not what is only fetched, as text."""
    after: dict[ArtifactId, list[ArtifactId]] = {}
    for edge in graph.edges:
        if edge.relation in _RUNS:
            after.setdefault(edge.source, []).append(edge.target)
    seen = set(graph.roots)
    waiting = list(seen)
    while waiting:
        new = set(after.get(waiting.pop(), ())) - seen
        seen |= new
        waiting += new
    return [a for i, a in graph.files.items() if i in seen and a.kind in _CODE]


def _sources(file: Artifact, reading: Reading) -> str:
    if file.kind is Kind.TS:
        return "TSX" if PurePosixPath(file.id).suffix == ".tsx" else "TypeScript"
    if file.kind is Kind.JS and any(r.form == "jsx" for r in reading.contents.references):
        return "JSX"
    return ""


def _unbundled(file: Artifact, reading: Reading, store: Store, outside: Collection[str]) -> str:
    data = store.get(file.digest)
    guarded = ("modules", "esm") in reading.contents.facts or b"typeof require" in data
    for one in reading.contents.references:
        if one.relation is not Relation.IMPORT or is_builtin(one.target):
            continue
        if one.form == "require" and not guarded:
            return f"require({one.target!r}) in line {one.line}"
        if one.form == "import" and one.target.endswith(".css") and b" with " not in data:
            return f"import of the style sheet {one.target!r} in line {one.line}"
        is_bare = not one.target.startswith((".", "/")) and ":" not in one.target
        if one.form == "import" and is_bare and not _is_outside(one.target, outside):
            return f"import of {one.target!r} in line {one.line}, which is no address"
    line = asks_mode(data)
    return f"{MODE.decode()} in line {line}" if line else ""


def _is_outside(target: str, outside: Collection[str]) -> bool:
    return any(fnmatchcase(target, name) or target.startswith(f"{name}/") for name in outside)


def _finding(found: Mapping[ArtifactId, str], rows: Iterable[LedgerRow]) -> Finding:
    lines = [f"{name}: {why}" for name, why in sorted(found.items())]
    many = f"{len(lines)} files of the result" if len(lines) > 1 else "1 file of the result"
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    dropped = "; ".join(_dropped(rows))
    return Finding(
        check="unrunnable-code",
        where=min(found),
        message=f"no browser runs {many}: {', '.join(lines[:_SHOWN])}{more}. "
        + (f"bundle-js was dropped: {dropped}" if dropped else "bundle-js left them as they are"),
        advice="do not ship this result: change what bundle-js was dropped for, or let other "
        "bundlers compete (its `candidates`; no --fast), and run again"
        if dropped
        else "name them in `entries`, or import them from code that is bundled",
        severity=Severity.ERROR,
        evidence=tuple(lines),
    )


def _dropped(rows: Iterable[LedgerRow]) -> Iterator[str]:
    """Yield why no bundle was kept, and what became of each candidate."""
    for row in rows:
        if not row.kept and not row.candidates:
            yield row.proof.detail
        for one in row.candidates if not row.kept else ():
            yield f"{one.name}: {one.detail or one.fate.value}"
