"""Reads the last release, a result of ``vtool optimize``, to compress the new one against."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolchain.emit import MANIFEST
from toolchain.errors import ConfigError, InputError, IntegrityError
from toolchain.ir import DirectoryStore, Graph, Measure, Relation, Report
from toolchain.passes.base import Step
from toolchain.sources import address, archive, directory
from toolchain.sources.tree import SourceFile
from toolchain.tables import check

_DELTA = "delta"


@dataclass(frozen=True)
class _Row:
    """What is read of a manifest's row; it has more."""

    id: str
    sha256: str


@dataclass(frozen=True)
class _Manifest:
    files: tuple[_Row, ...]


@dataclass(frozen=True)
class Release:
    """The files of a release by path, siblings left out."""

    files: Mapping[str, SourceFile]


def open_release(path: Path | None) -> Release | None:
    """Return the files that the manifest of the folder or archive ``path`` lists; None for none.

    Errors:
        ConfigError: there is nothing at ``path``.
        InputError: no result of vtool, a damaged manifest or archive, a file that is missing.
        IntegrityError: a file that is not what the manifest says.
    """
    if path is None:
        return None
    if not path.exists():
        raise ConfigError(
            f"there is no previous release {path}",
            hint="give --previous the folder, or its archive, that an earlier run wrote with -o",
        )
    if path.is_file() and not address.is_archive(path):
        raise _no_result(path, "it is neither a folder nor an archive")
    files = (archive.open_tree(path) if path.is_file() else directory.open_tree(path)).files
    inside = _top(files)
    found = {name.removeprefix(inside): f for name, f in files.items() if name.startswith(inside)}
    if MANIFEST not in found:
        raise _no_result(path, f"it has no {MANIFEST}")
    rows = _read(path, found[MANIFEST].path).files
    return Release({row.id: _listed(path, row, found) for row in rows})


def _top(files: Mapping[str, SourceFile]) -> str:
    """Return the one folder that an archive has everything in; "" where there is none."""
    tops = {name.partition("/")[0] for name in files}
    top = f"{next(iter(tops))}/" if len(tops) == 1 else ""
    return top if f"{top}{MANIFEST}" in files else ""


def _read(path: Path, manifest: Path) -> _Manifest:
    try:
        document = json.loads(manifest.read_text("utf-8"))
        return check(document, _Manifest, where=str(path))
    except (ConfigError, ValueError, RecursionError) as error:
        raise _no_result(path, f"its {MANIFEST} is damaged") from error


def _listed(path: Path, row: _Row, found: Mapping[str, SourceFile]) -> SourceFile:
    if row.id not in found:
        raise InputError(
            f"the previous release {path} lacks {row.id}, which its manifest lists",
            hint="give the whole folder that an earlier run wrote",
        )
    if found[row.id].digest != row.sha256:
        raise IntegrityError(
            f"{row.id} of the previous release {path} is not the file that its manifest lists",
            hint="give the release as it was published: what clients have must be the same bytes",
        )
    return found[row.id]


def _no_result(path: Path, fact: str) -> InputError:
    return InputError(
        f"{path} is no result of `vtool optimize`: {fact}",
        hint="give --previous the folder, or its archive, that an earlier run wrote with -o",
    )


def with_deltas(
    steps: Sequence[Step], release: Release | None, store: DirectoryStore
) -> tuple[Step, ...]:
    """Return ``steps`` with the last release for the pass ``delta``, which ends them by default.

    Without a last release there is no such step.
    """
    if release is None:
        return tuple(s for s in steps if s.run != _DELTA)
    for one in release.files.values():
        store.adopt(one.path, one.digest)
    known = {"previous": {name: one.digest for name, one in release.files.items()}}
    why = "who has the last release downloads what is new, and not everything again"
    asked = [*steps, *([] if any(s.run == _DELTA for s in steps) else [Step(_DELTA, why)])]
    return tuple(
        replace(step, options={**step.options, **known}) if step.run == _DELTA else step
        for step in asked
    )


def with_update(report: Report, graph: Graph, release: Release | None) -> Report:
    """Return ``report`` with what somebody who has ``release`` downloads of ``graph``.

    update.download: bytes of all files that changed, each in its smallest form; a file whose
    content the last release has, under any name, is not downloaded. Before: without deltas.
    """
    if release is None:
        return report
    known = {one.digest for one in release.files.values()}
    files, least = graph.files, graph.least()
    whole = {i: int(least[i]) for i in files if files[i].digest not in known}
    sizes = dict(whole)
    for edge in graph.edges:
        if edge.relation is Relation.DELTA and edge.target in sizes:
            sizes[edge.target] = min(sizes[edge.target], graph.artifacts[edge.source].size)
    return replace(
        report,
        measures=(*report.measures, _download(sizes.values())),
        baseline=(*report.baseline, _download(whole.values())),
    )


def _download(sizes: Iterable[int]) -> Measure:
    return Measure("update.download", "byte", (float(sum(sizes)),))
