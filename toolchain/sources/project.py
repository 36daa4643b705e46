"""Any target as one set of files: a project with its locked packages, a package, a path."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packageurl import PackageURL

from toolchain.errors import ConfigError, InputError
from toolchain.progress import SILENT, Progress
from toolchain.sources import address, archive, directory, file, registries, tree
from toolchain.sources.cache import Unpacked
from toolchain.sources.lock import LOCK, Lock, read_lock
from toolchain.sources.manifest import MANIFEST, Input, Project, load_project
from toolchain.sources.tree import SourceFile, Tree

__all__ = ["Assembly", "Input", "Project", "assemble", "load_project", "open_target"]

_NOT_SOURCES = frozenset({MANIFEST, LOCK, "build", "dist", "node_modules", "rules"})


@dataclass(frozen=True, slots=True)
class Assembly:
    """All files of a target under the names they have in it."""

    tree: Tree
    reference: Tree  # only for the harness: no part of what ships
    roots: tuple[str, ...]  # entries and inputs that ship; () where nobody named any
    install: Mapping[str, str]  # folder of a package ('' is the top) -> its address
    project: Project | None = None


def open_target(text: str, progress: Progress = SILENT) -> Assembly:
    """Return the files of any target: package, project, folder, archive or file.

    Errors:
        ConfigError: a malformed or unknown address, a wrong vtool.toml or lock.
        InputError: nothing there, nothing in it, or broken.
        UnavailableError: a registry or the disk does not answer.
    """
    target = address.parse(text)
    if isinstance(target, PackageURL):
        return _package(target, progress)
    if (target / MANIFEST).is_file():
        project = load_project(target)
        return assemble(project, read_lock(project), progress)
    if target.is_dir():
        return _plain(directory.open_tree(target))
    opened = archive.open_tree(target) if address.is_archive(target) else file.open_tree(target)
    return _plain(opened)


def assemble(project: Project, lock: Lock, progress: Progress = SILENT) -> Assembly:
    """Return all files of ``project``: its own, its packages', its inputs.

    Errors:
        ConfigError: two files want the same name, an input is not in its package, no entry.
        InputError: an own file is unreadable, or there is none.
        UnavailableError: a registry or the disk does not answer.
    """
    pinned = [one.pinned for one in lock.package]
    opened = registries.unpacked_all(pinned, progress)
    by_address = {one.address: found for one, found in zip(lock.package, opened, strict=True)}
    shipped = _Names(_own(project))
    reference = _Names({**_profiles(project), **_scenario(project)})
    install: dict[str, str] = {}
    roots = list(project.entries)
    for locked in lock.package:
        for folder in locked.install:
            install[folder] = locked.address
            shipped.add(folder, by_address[locked.address].files, folder)
    for one in project.input:
        locked = lock.find(address.exact(one.source))
        files = dict(_members(one, by_address[locked.address]))
        if one.role == "reference":
            reference.add("", files, one.path)
            continue
        shipped.add("", files, one.path)
        roots += files
        if one.member.endswith("/"):
            install[one.path.rstrip("/")] = locked.address
    return Assembly(
        tree.tree(shipped.files), tree.tree(reference.files), tuple(roots), install, project
    )


def refuse_left_out(project: Project, files: Collection[str], names: Iterable[str]) -> None:
    """Refuse the first of ``names`` that lies in the project's folder and is none of its ``files``.

    Names that are not there at all are for who opens them.

    Errors:
        ConfigError: there is one.
    """
    for name in names:
        parts = PurePosixPath(name).parts
        if name in files or not _lies_in(project.folder, name) or ".." in parts:
            continue
        hint = "add it, or its folder, to `sources` in vtool.toml"
        if parts[0] in _NOT_SOURCES or parts[-1].startswith("."):
            hint = "hidden files and what is in build, dist, node_modules and rules are never "
            hint += "sources: move it"
        raise ConfigError(
            f"the configuration names {name}, which is there but left out of the project's sources",
            hint=hint,
        )


def _lies_in(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # a text that is no file name: too long, with a zero byte
        return False


@dataclass(frozen=True, slots=True)
class _Names:
    """Files by name; no name is given twice."""

    files: dict[str, SourceFile]

    def add(self, folder: str, files: Mapping[str, SourceFile], whose: str) -> None:
        prefix = f"{folder}/" if folder else ""
        for name, source in files.items():
            if self.files.setdefault(prefix + name, source) is not source:
                raise ConfigError(
                    f"{prefix + name} of {whose} is there already",
                    hint="give the input another path in vtool.toml",
                )


def _own(project: Project) -> dict[str, SourceFile]:
    """Return the project's own files; hidden ones never, for they hold secrets and editor state."""
    chosen = [PurePosixPath(name) for name in project.sources]

    def wanted(name: str) -> bool:
        path = PurePosixPath(name)
        if path.name.startswith(".") or path.parts[0] in _NOT_SOURCES or plays(project, name):
            return False
        if any(path.is_relative_to(one) for one in project.profiles):
            return False
        return not chosen or any(
            path.is_relative_to(one) or one.is_relative_to(path) for one in chosen
        )

    return dict(directory.collect(project.folder, wanted).files)


def _profiles(project: Project) -> dict[str, SourceFile]:
    """Return the own files that passes run: no part of what ships."""
    chosen = [PurePosixPath(name) for name in project.profiles]

    def wanted(name: str) -> bool:
        path = PurePosixPath(name)
        return not path.name.startswith(".") and any(
            path.is_relative_to(one) or one.is_relative_to(path) for one in chosen
        )

    return dict(directory.collect(project.folder, wanted).files) if chosen else {}


def plays(project: Project, name: str) -> bool:
    """Whether an own file belongs to the scenario: its script, and what lies in its folder."""
    if project.scenario is None:
        return False
    script = PurePosixPath(project.scenario.script)
    folder = script.parent
    return PurePosixPath(name).is_relative_to(folder if folder.name else script)


def _scenario(project: Project) -> Mapping[str, SourceFile]:
    """Return the files of the scenario: read when it is played, no part of what ships."""
    if project.scenario is None:
        return {}
    script = PurePosixPath(project.scenario.script)
    if not (project.folder / script).is_file():
        raise ConfigError(
            f"scenario.script: there is no file {script}", hint="correct its path in vtool.toml"
        )
    above = {str(folder) for folder in script.parents}
    wanted = directory.collect(project.folder, lambda n: n in above or plays(project, n))
    return wanted.files


def _members(one: Input, package: Unpacked) -> Iterator[tuple[str, SourceFile]]:
    if not one.member.endswith("/"):
        if one.member not in package.files:
            raise _absent(one)
        yield one.path, package.files[one.member]
        return
    prefix = one.member.removeprefix("./")
    found = {n.removeprefix(prefix): f for n, f in package.files.items() if n.startswith(prefix)}
    if not found:
        raise _absent(one)
    for name, source in found.items():
        yield f"{one.path.rstrip('/')}/{name}", source


def _absent(one: Input) -> ConfigError:
    return ConfigError(
        f"{one.source} has no member {one.member!r}",
        hint=f"correct the [[input]] with path = {one.path!r} in vtool.toml",
    )


def _package(purl: PackageURL, progress: Progress) -> Assembly:
    pinned = registries.pin(purl)
    files = registries.unpacked(pinned, progress).files
    if not files:
        raise InputError(f"{address.show(purl)} holds no file", hint="choose another version")
    return Assembly(tree.tree(files), Tree({}), (), {"": str(pinned.purl)})


def _plain(files: Tree) -> Assembly:
    return Assembly(files, Tree({}), (), {})
