"""The bundle half of a profile: sizes by package, and code that nobody needs, by measuring."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

from toolchain import accounts, rulebook
from toolchain.analysis.packages import package_of
from toolchain.errors import InputError, ToolError, UnavailableError
from toolchain.formats import esbuild
from toolchain.formats.esbuild_build import Input
from toolchain.ir import ArtifactId, FileRow, Kind, Stage
from toolchain.ir.profile import BundleAnalysis, PackageCode, UnusedCode
from toolchain.loader import Loaded
from toolchain.passes.base import make_pass
from toolchain.passes.bundle_js import BundleJs
from toolchain.passes.drop_unreachable import DropUnreachable
from toolchain.sources.project import Assembly
from toolchain.sources.tools import tool
from toolchain.units import Bytes, show_bytes
from toolchain.workspace import Workspace

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_WHOLE = "cjs"  # what esbuild calls CommonJS: it runs as a whole or not at all
_LEGAL = ".LEGAL.txt"  # esbuild's file for the comments that must stay
_NAMES_BYTES = 32
"""Ours: below that two bundles may differ because short names were given out in another order."""
_LOADERS = {".ts": "ts", ".mts": "ts", ".cts": "ts", ".tsx": "tsx", ".jsx": "jsx"}
_IMPORTERS = 3  # named in a suggestion
_Step = TypeVar("_Step", BundleJs, DropUnreachable)


class _Bundled(NamedTuple):
    """The same modules twice: bytes by module without and with tree shaking."""

    imported: Mapping[str, int]
    kept: Mapping[str, int]
    modules: Mapping[str, Input]


def analyzed(assembly: Assembly, loaded: Loaded, workspace: Workspace) -> BundleAnalysis:
    """Return what a target weighs, and what of its code is not needed.

    Unused is a module that the pass drop-unreachable leaves out, and of the others what the bundler
    of the pass bundle-js leaves out: all modules are bundled twice with the same flags, with and
    without tree shaking, and compared as minified. What runs or does not run is another question:
    code that is kept may never be executed, which nothing here claims to know.
    """
    rows = accounts.file_rows(Stage.INPUT, loaded.graph, loaded.readings)
    total = accounts.total(rows)
    unreached = [r for r in rows if r.kind in _SCRIPTS and not r.reachable and r.sizes.raw]
    dropping = _as_in_project(assembly, "drop-unreachable", DropUnreachable())
    ships = dropping.apply(loaded.graph, workspace.store)
    dropped = [row for row in unreached if row.id not in ships.artifacts]
    bundled, notes = None, list(_unknown_notes(unreached, dropped))
    try:
        bundled = _bundled(assembly, loaded, workspace)
    except (InputError, ToolError, UnavailableError) as error:
        notes.append(f"tree shaking is unknown: {error}")
    else:
        if bundled is None:
            notes.append("tree shaking is unknown: no entry is a script that could be bundled")
    found = BundleAnalysis(
        total_size=total.raw,
        total_gzip_size=total.gzip,
        packages=_packages(rows, bundled),
        unused_code=tuple(
            sorted(
                (*_unreached(dropped), *(_left_out(bundled) if bundled else ())),
                key=lambda u: (-u.unused_bytes, u.module),
            )
        ),
        notes=(*notes, *(_whole_notes(bundled) if bundled else ())),
    )
    if bundled is None:
        return found
    imported, kept = sum(bundled.imported.values()), sum(bundled.kept.values())
    return replace(
        found,
        imported=Bytes(imported),
        kept=Bytes(kept),
        installed=Bytes(sum(one.size_bytes for one in bundled.modules.values())),
        treeshake_efficiency=_efficiency(imported, kept),
    )


def _bundled(assembly: Assembly, loaded: Loaded, workspace: Workspace) -> _Bundled | None:
    step = _bundler(assembly)
    shaken = step.built(loaded.graph, workspace.store)
    if shaken is None:
        return None
    whole = step.built(loaded.graph, workspace.store, shaken=False)
    assert whole is not None  # noqa: S101 - the same graph
    imported = _in_output(whole.result)
    imported |= _by_itself([m for m, size in imported.items() if not size], loaded, workspace)
    return _Bundled(imported, _in_output(shaken.result), whole.result.inputs)


def _by_itself(modules: Sequence[str], loaded: Loaded, workspace: Workspace) -> dict[str, int]:
    """Return the minified sizes of modules that a bundler leaves out in any case.

    Also without tree shaking esbuild takes nothing of a module whose re-exported names nobody
    imports. What it is made of alone has an export clause more, some bytes a name.
    """
    found = {}
    with esbuild.service(tool("esbuild")) as service:
        for name in modules:
            artifact = loaded.graph.artifacts.get(ArtifactId(name))
            if artifact is None or artifact.kind not in _SCRIPTS:
                continue
            loader = _LOADERS.get(PurePosixPath(name).suffix, "js")
            data = workspace.store.get(artifact.digest)
            made = service.transform(data, f"--loader={loader}", "--minify", "--format=esm")
            found[name] = sum(len(output.data) for output in made.outputs)
    return found


def _bundler(assembly: Assembly) -> BundleJs:
    project = assembly.project
    own = tuple(project.conditions) if project is not None else ()
    usual = BundleJs(conditions=own) if own else BundleJs()
    return _as_in_project(assembly, "bundle-js", usual)


def _as_in_project(assembly: Assembly, run: str, usual: _Step) -> _Step:
    """Return the pass ``run`` as the project asks for it; ``usual`` where nobody does."""
    project = assembly.project
    if project is None:
        return usual
    for step in rulebook.pipeline(project.pipeline, project.folder):
        if step.run == run:
            made = make_pass(step.run, step.options)
            assert isinstance(made, type(usual))  # noqa: S101 - for the type checker
            return made
    return usual


def _in_output(result: esbuild.Result) -> dict[str, int]:
    sizes = Counter[str](dict.fromkeys(result.inputs, 0))
    for output in result.outputs:
        if not output.path.endswith(_LEGAL):
            sizes.update(output.inputs)
    return dict(sizes)


def _efficiency(imported: int, kept: int) -> float | None:
    return max(0.0, 1 - kept / imported) if imported else None


def _packages(rows: Sequence[FileRow], bundled: _Bundled | None) -> tuple[PackageCode, ...]:
    files: dict[str, list[FileRow]] = defaultdict(list)
    for row in rows:
        files[row.package].append(row)
    modules: dict[str, list[str]] = defaultdict(list)
    for name in bundled.modules if bundled else ():
        modules[package_of(ArtifactId(name))].append(name)
    found = []
    for package, own in files.items():
        size = accounts.total(own)
        one = PackageCode(package, size.raw, size.gzip, len(modules[package]))
        if bundled and modules[package]:
            imported = sum(bundled.imported[m] for m in modules[package])
            kept = sum(bundled.kept.get(m, 0) for m in modules[package])
            shakable = any(bundled.modules[m].form != _WHOLE for m in modules[package])
            share = _efficiency(imported, kept) if shakable else None
            one = replace(
                one, imported=Bytes(imported), kept=Bytes(kept), treeshake_efficiency=share
            )
        found.append(one)
    return tuple(sorted(found, key=lambda p: (-p.size, p.name)))


def _unreached(dropped: Sequence[FileRow]) -> Iterator[UnusedCode]:
    why = "no entry reaches it: the pass drop-unreachable leaves it out"
    for row in dropped:
        yield UnusedCode(row.id, row.sizes.raw, row.sizes.raw, (why,), imported=False)


def _unknown_notes(unreached: Sequence[FileRow], dropped: Sequence[FileRow]) -> Iterator[str]:
    """Say what no entry names, and what may be loaded all the same."""
    size = sum(row.sizes.raw for row in unreached) - sum(row.sizes.raw for row in dropped)
    if size:
        yield (
            f"{show_bytes(size)} of scripts that no entry reaches stay: a computed name may stand "
            "for them, or the project keeps them; whether they are used is unknown"
        )


def _left_out(bundled: _Bundled) -> Iterator[UnusedCode]:
    importers: dict[str, list[str]] = defaultdict(list)
    for name, module in bundled.modules.items():
        for one in module.imports:
            importers[one.path].append(name)
    for name, imported in bundled.imported.items():
        kept = bundled.kept.get(name, 0)
        unused = imported - kept
        if unused < _NAMES_BYTES:
            continue
        by = sorted(set(importers[name]))
        named = ", ".join(by[:_IMPORTERS]) + (" and others" if len(by) > _IMPORTERS else "")
        if kept:
            say = f"{show_bytes(kept)} of it are used: the pass bundle-js leaves out the rest"
        else:
            say = "nothing of it is used: the pass bundle-js leaves it out"
        where = (f"imported by {named}: import what is used from where it is defined",)
        yield UnusedCode(name, Bytes(imported), Bytes(unused), (say, *(where if by else ())))


def _whole_notes(bundled: _Bundled) -> Iterator[str]:
    """Say of which packages a bundler can leave nothing out, so that unused is unknown there."""
    whole = Counter[str]()
    for name, module in bundled.modules.items():
        if module.form == _WHOLE:
            whole[package_of(ArtifactId(name))] += bundled.kept.get(name, 0)
    for package, size in whole.most_common():
        yield (
            f"{package}: {show_bytes(size)} of CommonJS modules are taken as a whole; "
            "what of them is unused is unknown"
        )
