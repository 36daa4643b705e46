"""The bundlers of ``rules/toolbox``: installed once into the user's cache, used offline afterwards.

Locked npm packages; of the native ones only those for this machine are fetched. ``<cache>/toolbox``
holds a folder with ``node_modules`` for each version of the lock.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from toolchain import resources
from toolchain.errors import UnavailableError
from toolchain.ir import digest_of
from toolchain.progress import SILENT, Progress
from toolchain.sources import registries
from toolchain.sources.exclusive import exclusive
from toolchain.sources.lock import LOCK, Locked, read_lock
from toolchain.sources.manifest import load_project
from toolchain.sources.tools import machine_name
from toolchain.tables import load, table

_MODULES = "node_modules"


@table
class Engine:
    """A bundler or minifier: its package, and the native package it needs on each machine."""

    why: str
    package: str  # empty where the native package is all of it
    native: Mapping[str, str] = field(default_factory=dict)  # none: it runs everywhere
    program: str = ""  # in the native package, where it is a program


@table
class Engines:
    """``rules/toolbox/toolbox.toml``."""

    tool: Mapping[str, Engine]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """A folder with ``node_modules``, and the programs in it by the tool's name."""

    folder: Path
    programs: Mapping[str, Path]


def missing_here(machine: str | None = None) -> dict[str, str]:
    """Return why the tools that have no build for this machine are not available, by their name."""
    here = machine or this_machine()
    return {
        name: f"there is no {name} for {here}"
        for name, engine in _engines().items()
        if engine.native and here not in engine.native
    }


def this_machine() -> str:
    """Return this machine as toolbox.toml calls it; a Linux without glibc is another machine."""
    here = machine_name()
    if sys.platform == "linux" and platform.libc_ver()[0] != "glibc":
        return f"{here}-musl"
    return here


def toolbox(progress: Progress = SILENT) -> Toolbox:
    """Return the installed toolbox; what is not in the cache is fetched.

    Errors:
        UnavailableError: a registry does not answer, or the disk is full.
    """
    locked = list(_wanted())
    key = digest_of("\n".join(f"{one.address} {one.integrity}" for one in locked).encode())
    home = resources.cache_folder() / "toolbox" / key
    if not home.is_dir():
        _install(locked, home, progress)
    programs = {}
    for name, engine in _engines().items():
        native = engine.native.get(this_machine())
        if native and engine.program:
            programs[name] = _program(home / _MODULES / native / engine.program)
    return Toolbox(home, programs)


def _engines() -> Mapping[str, Engine]:
    return load(resources.folder("rules") / "toolbox" / "toolbox.toml", Engines).tool


def _wanted() -> Iterator[Locked]:
    """Yield all locked packages less the native ones of other machines."""
    here = this_machine()
    natives = {n for e in _engines().values() for at, n in e.native.items() if at != here}
    natives -= {e.native[here] for e in _engines().values() if here in e.native}
    project = load_project(resources.folder("rules") / "toolbox")
    for one in read_lock(project).package:
        if not any(folder == f"{_MODULES}/{name}" for name in natives for folder in one.install):
            yield one


def _install(locked: list[Locked], home: Path, progress: Progress) -> None:
    opened = registries.unpacked_all([one.pinned for one in locked], progress)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with (
            exclusive(resources.cache_folder() / "locks" / f"toolbox-{home.name}"),
            TemporaryDirectory(dir=home.parent, prefix=".new-") as name,
        ):
            if home.is_dir():
                return
            made = Path(name) / "made"
            for one, found in zip(locked, opened, strict=True):
                for folder in one.install:
                    for inner, file in found.files.items():
                        _place(file.path, made / folder / inner)
            (made / "package.json").write_text('{"private": true}\n', "utf-8")
            made.rename(home)
    except OSError as error:
        raise UnavailableError(
            f"the bundlers cannot be installed in {home.parent}: {error.strerror}",
            hint="free 400 MB of disk space or set VTOOL_CACHE to a folder with room",
        ) from error


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)  # 230 MB on Linux: not a second time
    except OSError:
        shutil.copyfile(source, target)


def _program(path: Path) -> Path:
    if sys.platform == "win32":
        path = path.with_suffix(".exe")
    elif path.is_file() and not os.access(path, os.X_OK):
        with suppress(OSError):  # not ours to change: starting it says what is wrong
            path.chmod(0o755)
    return path


def lock_file() -> Path:
    """Return the file that says which versions are in the toolbox: part of what results rest on."""
    return resources.folder("rules") / "toolbox" / LOCK
