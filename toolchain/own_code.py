"""Refuses a project that cannot work: a syntax error, an import or weights that lead nowhere.

Own is what somebody who works on the project wrote: nothing below ``node_modules``, no input. In
the code of others the same is a finding, because nobody here can correct it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from toolchain import rulebook
from toolchain.analysis.reachability import reachable
from toolchain.errors import ConfigError, InputError, ToolError, UnavailableError
from toolchain.formats import esbuild
from toolchain.formats.node_resolution import Resolver, is_builtin
from toolchain.formats.package_json import Problem, split_bare
from toolchain.ingest.base import Reference
from toolchain.ir import ArtifactId, Kind, Relation
from toolchain.linking import Files
from toolchain.loader import Loaded
from toolchain.sources.manifest import MANIFEST
from toolchain.sources.project import Assembly, Project
from toolchain.sources.tools import tool
from toolchain.sources.tree import SourceFile

_CODE = frozenset({Kind.JS, Kind.TS})
_IMPORTS = frozenset({Relation.IMPORT, Relation.LAZY})
_ALIASES = (b'"paths"', b'"baseUrl"')  # keys of tsconfig.json that give bare imports a meaning


def refuse_broken(assembly: Assembly, loaded: Loaded) -> None:
    """Check the code of a project that its entries reach.

    Errors:
        ConfigError: there is code and no entry.
        InputError: a syntax error or an import that does not resolve, at ``file:line``; a model
            whose weights lie in a file that is not there.
    """
    project = assembly.project
    if project is None:
        return
    files = assembly.tree.files
    graph = loaded.graph
    if not graph.roots and any(a.kind in _CODE and _is_ours(i) for i, a in graph.files.items()):
        raise ConfigError(
            f"{project.folder / MANIFEST}: entries: there is code, and no entry loads it",
            hint='name the scripts that a page loads: entries = ["src/main.js"]',
        )
    _refuse_missing_weights(loaded)
    own = [n for n in sorted(reachable(loaded.graph)) if _is_own(n, loaded, project)]
    for name in own:
        if problems := loaded.readings[name].contents.problems:
            _refuse_syntax(name, files[name], problems[0])
    resolver = Resolver(_Read(Files.of(files)), frozenset(project.conditions))
    for name in own:
        for reference in _imports(loaded.readings[name].contents.references):
            found = resolver.resolve(reference.target, name, require=reference.form == "require")
            if isinstance(found, Problem) and not _is_provided(reference.target, project, files):
                raise InputError(
                    f"{name}:{reference.line}: {reference.target!r} does not resolve: {found.text}",
                    hint=_linked(reference.target, name, project)
                    or "correct the import, add the package to vtool.toml and lock it, or name it "
                    "in bundle-js's `external`",
                )


def _refuse_missing_weights(loaded: Loaded) -> None:
    absent = {i for i, a in loaded.graph.artifacts.items() if a.kind is Kind.EXTERNAL}
    for edge in sorted(loaded.graph.edges):
        model = loaded.graph.artifacts[edge.source]
        if model.kind is Kind.ONNX and edge.target in absent and _is_ours(model.id):
            raise InputError(
                f"{model.id}: its weights lie in {edge.target.removeprefix('external:')!r}, "
                "which is not there",
                hint="put the file beside the model, or save the model with its weights inside",
            )


def _is_ours(name: ArtifactId) -> bool:
    return "node_modules" not in PurePosixPath(name).parts and "!/" not in name


def _linked(target: str, importer: str, project: Project) -> str:
    """Return what to do where a package is none of the files, but a link to a folder leads to it.

    Links are not followed: nothing is read that the project's folder and its lock do not hold.
    """
    name, _ = split_bare(target)
    around = (project.folder.resolve() / importer).parents
    links = (above / "node_modules" / name for above in around)
    link = next((one for one in links if one.is_symlink()), None)
    if link is None or target.startswith((".", "/", "#")):
        return ""
    if link.resolve().is_relative_to(project.folder.resolve()):
        return (
            f"{name} is a link to a folder of this project: name that folder in `sources` of "
            "vtool.toml, and in `workspaces` of the package.json above it"
        )
    return (
        f"{name} is a link out of the project: put vtool.toml into the folder above both, whose "
        "package.json has `workspaces`, with `entries` and `sources` from there"
    )


class _Read:
    """Files as the resolver wants them: asked with plain paths."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def read(self, name: str, /) -> bytes:
        return self._files.read(ArtifactId(name))

    def named(self, basename: str, /) -> Sequence[str]:
        return self._files.named(basename)


def _is_own(name: ArtifactId, loaded: Loaded, project: Project) -> bool:
    if loaded.graph.artifacts[name].kind not in _CODE or not _is_ours(name):
        return False
    return not any(PurePosixPath(name).is_relative_to(one.path) for one in project.input)


def _imports(references: tuple[Reference, ...]) -> Iterator[Reference]:
    for one in references:
        remote = "://" in one.target or one.target.startswith(("data:", "//"))
        if one.relation in _IMPORTS and one.form in {"import", "require"} and not remote:
            yield one


def _is_provided(target: str, project: Project, files: Mapping[str, SourceFile]) -> bool:
    """Whether something that is not among the files gives a bare import its meaning."""
    if target.startswith((".", "/", "#")):
        return False
    if is_builtin(target) or _has_aliases(files):
        return True
    steps = rulebook.pipeline(project.pipeline, project.folder)
    external = [name for step in steps for name in step.options.get("external", ())]
    return any(fnmatchcase(target, e) or target.startswith(f"{e}/") for e in external)


def _has_aliases(files: Mapping[str, SourceFile]) -> bool:
    return any(
        any(key in file.path.read_bytes() for key in _ALIASES)
        for name, file in files.items()
        if PurePosixPath(name).name in {"tsconfig.json", "jsconfig.json"}
        and "node_modules" not in PurePosixPath(name).parts
    )


def _refuse_syntax(name: ArtifactId, file: SourceFile, problem: str) -> None:
    """Refuse a file that esbuild does not understand either: it knows syntax that is newer."""
    place, hint = f"{name}: {problem}", "correct the code there"
    with suppress(ToolError, UnavailableError):  # no esbuild here: our own parser's word stands
        with esbuild.service(tool("esbuild")) as service:
            errors = service.transform(file.path.read_bytes(), f"--loader={_loader(name)}").errors
        if not errors:
            return
        place = f"{name}:{errors[0].line}: {errors[0].text}"
        hint = f"correct the code there: {errors[0].source.strip()[:80]}"
    raise InputError(place, hint=hint)


def _loader(name: ArtifactId) -> str:
    ending = PurePosixPath(name).suffix.lstrip(".")
    return {"tsx": "tsx", "ts": "ts", "mts": "ts", "cts": "ts", "jsx": "jsx"}.get(ending, "js")
