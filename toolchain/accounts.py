"""Turns graphs and what was read of their files into the rows, totals and measures of a report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath

from toolchain import __version__
from toolchain.analysis.packages import package_of
from toolchain.analysis.reachability import core, reachable
from toolchain.formats import compression
from toolchain.formats.compression import SUFFIX, Codec
from toolchain.harness.machine import lasting
from toolchain.ir import (
    LOSSLESS,
    Artifact,
    ArtifactId,
    ArtifactRow,
    Budget,
    Digest,
    FileRow,
    Finding,
    Graph,
    Kind,
    Measure,
    ModelSearch,
    Relation,
    Report,
    Severity,
    Sizes,
    Stage,
    part_id,
)
from toolchain.loader import Loaded
from toolchain.reading import Reading
from toolchain.units import Bytes

CODE_KINDS = frozenset({Kind.JS, Kind.TS, Kind.WASM})
"""What "core bundle" and "compression" speak of: what a page must download to run at all.

TypeScript counts as it lies there, before it is compiled: without it an application that becomes
JavaScript would seem to come out of nothing."""


CODE_MEASURES = ("core.", "code.", "compression.", "models.", "task.", "update.")
"""How the names of measures begin that no harness measures: those of code and of packages."""


def empty_report(target: str) -> Report:
    """Return a report about ``target`` that says nothing yet but where it was made."""
    return Report(
        target=target,
        version=__version__,
        machine=lasting(),
        codecs=compression.level_names(),
        files=(),
        artifacts=(),
        totals=(),
        relations=(),
    )


def file_rows(stage: Stage, graph: Graph, readings: Mapping[ArtifactId, Reading]) -> list[FileRow]:
    """Return one row per file of ``graph``, sorted by id."""
    used = reachable(graph) if graph.roots else frozenset(graph.artifacts)
    first = core(graph)
    return [
        FileRow(
            stage=stage,
            id=name,
            kind=artifact.kind,
            package=package_of(name),
            digest=artifact.digest,
            reachable=name in used,
            core=name in first,
            sizes=readings[name].sizes,
            facts=readings[name].contents.facts,
        )
        for name, artifact in graph.files.items()
    ]


def artifact_rows(
    stage: Stage, graph: Graph, readings: Mapping[ArtifactId, Reading]
) -> list[ArtifactRow]:
    """Return one row per owner of bytes: a file without parts, or each part of a file.

    Their raw sizes sum to the raw size of the graph; the compressed sizes are of each owner
    compressed on its own, and so do not sum to those of the files.
    """
    rows = []
    for name, artifact in graph.files.items():
        reading = readings[name]
        if not reading.contents.parts:
            rows.append(ArtifactRow(stage, name, artifact.kind, name, reading.sizes))
        for part, (_, sizes) in zip(reading.contents.parts, reading.parts, strict=True):
            inner = part_id(name, part.kind, part.name)
            rows.append(ArtifactRow(stage, inner, part.kind, name, sizes, part.facts))
    return rows


def total(rows: list[FileRow]) -> Sizes:
    """Return the sum of all files' sizes."""
    sizes = Sizes(Bytes(0), Bytes(0), Bytes(0), Bytes(0))
    for row in rows:
        sizes += row.sizes
    return sizes


def relations(graph: Graph) -> tuple[tuple[str, int], ...]:
    """Return how many edges there are of each relation, sorted by relation."""
    return tuple(sorted(Counter(str(e.relation) for e in graph.edges).items()))


def style_notes(graph: Graph) -> tuple[str, ...]:
    """Return which style sheets a page must link, in one note: no script loads them."""
    first = core(graph)
    pairs = sorted(
        (e.source not in first, e.target, e.source)
        for e in graph.edges
        if e.relation is Relation.STYLE
    )
    said = [
        f"{sheet} with {script}{', which is loaded later' if later else ''}"
        for later, sheet, script in pairs
    ]
    return (f"style sheets that the page must link: {'; '.join(said)}",) if said else ()


def reading_findings(loaded: Loaded) -> Iterator[Finding]:
    """Yield a finding for every file that could not be read in full as what it claims to be."""
    used = reachable(loaded.graph)
    for name, reading in sorted(loaded.readings.items()):
        for problem in reading.contents.problems:
            yield Finding(
                check="unreadable-file",
                where=name,
                message=problem,
                advice="fetch or build the file again, or leave it out",
                severity=Severity.ERROR if name in used else Severity.NOTE,
            )


def code_measures(graph: Graph, brotli: Callable[[Artifact], int]) -> tuple[Measure, ...]:
    """Return how much code ``graph`` has, and what of it travels before the application listens.

    ``brotli`` gives the bytes a file of code travels in, at the levels of the pass ``compress``:
    the same for an application before and after, so that the difference is the passes' doing.

    Code is JavaScript, WebAssembly and, before it is compiled, TypeScript as it lies there. Give a
    graph without the build of a package that NODE_ENV does not choose (``modes.in_mode``).

    core.raw, core.brotli: code downloaded before the application can listen
    core.requests: the files of these
    code.lazy: brotli bytes of the code that is loaded later: by import(), or by what that loads
    code.raw: all code, used or not
    compression.code: the share that brotli takes off the code that is used
    Of a graph without code nothing is measured.
    """
    code = [a for a in graph.files.values() if a.kind in CODE_KINDS]
    if not code:
        return ()
    used = reachable(graph)
    needed = [a for a in code if a.id in used]
    first = core(graph)
    pool = ThreadPoolExecutor(os.cpu_count() or 1)  # compressors leave the interpreter alone
    try:
        travels = dict(zip((a.id for a in needed), pool.map(brotli, needed), strict=True))
    finally:  # without waiting: after Ctrl-C nobody wants to know
        pool.shutdown(wait=False, cancel_futures=True)
    found = [
        _bytes("core.raw", (a.size for a in needed if a.id in first)),
        _bytes("core.brotli", (travels[a.id] for a in needed if a.id in first)),
        Measure("core.requests", "count", (float(sum(a.id in first for a in needed)),)),
        _bytes("code.lazy", (travels[a.id] for a in needed if a.id not in first)),
        _bytes("code.raw", (a.size for a in code)),
    ]
    if raw := sum(a.size for a in needed):
        share = 1 - sum(travels.values()) / raw
        found.append(Measure("compression.code", "ratio", (share,)))
    return tuple(found)


def brotli_siblings(graph: Graph) -> dict[Digest, int]:
    """Return the size of the brotli sibling of every file that has one, by the file's digest."""
    return {
        graph.artifacts[e.target].digest: graph.artifacts[e.source].size
        for e in graph.edges
        if e.relation is Relation.ENCODES and e.source.endswith(SUFFIX[Codec.BROTLI])
    }


def _bytes(name: str, sizes: Iterable[int]) -> Measure:
    return Measure(name, "byte", (float(sum(sizes)),))


def with_downloads(
    models: Iterable[ModelSearch],
    before: Graph,
    renames: Mapping[ArtifactId, ArtifactId],
    brotli: Callable[[Artifact], int],
) -> tuple[ModelSearch, ...]:
    """Return ``models`` with the bytes that each would travel in as it came: its brotli size."""
    origins = {new: old for old, new in renames.items()}
    return tuple(
        replace(m, before=Bytes(brotli(before.artifacts[origins[ArtifactId(m.artifact)]])))
        for m in models
    )


def model_measures(models: Iterable[ModelSearch]) -> tuple[Measure, ...]:
    """Return how far each package is from its original, on the confirmation data.

    task.NAME.error: the share of the allowed error that is used (in the task's own unit it stands
    in the report's models); task.NAME.agreement: the share of decisions that are the same.
    models.download: bytes of all packages.
    """
    searched = tuple(models)
    found = [
        Measure(f"task.{_stem(m)}.{what}", "ratio", (value,))
        for m in searched
        if m.family != LOSSLESS
        for what, value in (("error", _used(m)), ("agreement", m.agreement))
        if value is not None
    ]
    download = [_bytes("models.download", (m.after for m in searched))] if searched else []
    return (*found, *download)


def model_budgets(models: Iterable[ModelSearch]) -> tuple[Budget, ...]:
    """Return the limits that the tasks of ``models`` set, as budgets of ``model_measures``."""
    found = []
    for m in models:
        seen = f"{m.positions:,} positions of the confirmation data"
        if _used(m) is not None:
            why = f"{m.error:.3g} of {m.error_limit:.3g} {m.unit} allowed by the task, on {seen}"
            found.append(Budget(f"task.{_stem(m)}.error", "ratio", 1.0, why))
        if m.agreement_limit is not None:
            why = f"decisions as of the original, on {seen}"
            name = f"task.{_stem(m)}.agreement"
            found.append(Budget(name, "ratio", m.agreement_limit, why, at_least=True))
    return tuple(found)


def _used(model: ModelSearch) -> float | None:
    if model.error_limit is None:
        return None
    if model.error_limit == 0:  # nothing is allowed: no share of it is finite
        return 1.0 + model.error if model.error else 0.0
    return model.error / model.error_limit


def _stem(model: ModelSearch) -> str:
    return PurePosixPath(model.artifact).stem
