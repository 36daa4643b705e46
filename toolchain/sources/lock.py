"""``vtool.lock``: the exact file of every package a project asks for, and where it goes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from packageurl import PackageURL

from toolchain.errors import ConfigError, UnavailableError
from toolchain.sources import address, install, npm, registries
from toolchain.sources.base import Integrity, Pinned
from toolchain.sources.manifest import Project, inside
from toolchain.tables import load, table

LOCK = "vtool.lock"
_FORMAT = 1
_HEAD = "# Written by `vtool lock`. Names files by what is in them; holds no download addresses.\n"


@table
class Locked:
    """One file of a registry; ``install`` are its folders in the project, if it is a dependency."""

    address: str
    integrity: str
    file: str = ""
    install: tuple[str, ...] = ()

    @property
    def pinned(self) -> Pinned:
        """The same as registries speak of it.

        Errors:
            ConfigError: the lock was edited by hand into nonsense.
        """
        return Pinned(address.exact(self.address), Integrity.parse(self.integrity), self.file)


@table
class Lock:
    """What was asked for, and every package that answers it, sorted by address."""

    format: int
    requested: tuple[str, ...]
    package: tuple[Locked, ...] = ()  # none: a project of own files only

    def find(self, wanted: PackageURL) -> Locked:
        """Return the package at this address.

        Errors:
            ConfigError: it is not locked.
        """
        bare = _bare(wanted)
        for one in self.package:
            if one.address == bare:
                return one
        raise ConfigError(
            f"{address.show(wanted)} is not in the lock", hint="run `vtool lock PROJECT`"
        )


def lock(project: Project) -> Lock:
    """Ask the registries for every package of ``project`` and for what those need.

    Errors:
        ConfigError: a package or version does not exist, or versions contradict each other.
        UnavailableError: a registry does not answer.
    """
    folders = install.layout(project.packages, npm.document)
    places: dict[str, list[str]] = {}
    for folder, one in folders.items():
        places.setdefault(str(install.purl(one)), []).append(folder)
    sources = [one.source for one in project.input]
    return _lock(project.requested, sources, places)


def lock_addresses(addresses: Iterable[str]) -> Lock:
    """Lock packages by their exact addresses, without what they need; errors as ``lock``."""
    wanted = tuple(sorted(set(addresses)))
    return _lock(wanted, wanted, {})


def _lock(requested: tuple[str, ...], sources: Iterable[str], places: dict[str, list[str]]) -> Lock:
    wanted = {_bare(purl): purl for purl in map(address.exact, [*sources, *places])}
    rows = []
    for text, purl in sorted(wanted.items()):
        pinned = registries.find(purl.type).pin(purl)
        folders = tuple(places.get(text, ()))
        rows.append(Locked(text, str(pinned.integrity), pinned.file, folders))
    return Lock(_FORMAT, requested, tuple(rows))


def read_lock(project: Project) -> Lock:
    """Read the lock of ``project``; one that asks for nothing needs none.

    Errors:
        ConfigError: there is none, it is damaged, or vtool.toml asks for something else by now.
    """
    path = project.folder / LOCK
    hint = f"run `vtool lock {project.folder}`"
    if not path.exists():
        if not project.requested:
            return Lock(_FORMAT, (), ())
        raise ConfigError(f"there is no {path}", hint=hint)
    found = load(path, Lock)
    if found.format != _FORMAT:
        raise ConfigError(f"{path} has format {found.format}, not {_FORMAT}", hint=hint)
    if found.requested != project.requested:
        changed = sorted(set(found.requested) ^ set(project.requested))
        raise ConfigError(
            f"{path} does not match vtool.toml: {', '.join(changed)}"[:500], hint=hint
        )
    for one in found.package:
        try:
            _ = one.pinned
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}", hint=hint) from error
        for name in one.install:
            inside(path, "install", name)
    return found


def write_lock(folder: Path, lock: Lock) -> Path:
    """Write ``lock`` into ``folder``, whole or not at all; the same lock is the same bytes.

    Errors:
        UnavailableError: the folder cannot be written to.
    """
    path = folder / LOCK
    part = folder / f".{LOCK}.{os.getpid()}"
    try:
        part.write_text(text(lock), "utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", hint="check the disk and the permissions"
        ) from error
    return path


def text(lock: Lock) -> str:
    """Return the lock as TOML."""
    requested = "".join(f"  {json.dumps(one)},\n" for one in lock.requested)
    blocks = [f"{_HEAD}format = {lock.format}\nrequested = [\n{requested}]\n"]
    for one in lock.package:
        rows = [f"address = {json.dumps(one.address)}", f"integrity = {json.dumps(one.integrity)}"]
        if one.file:
            rows.append(f"file = {json.dumps(one.file)}")
        if one.install:
            rows.append(f"install = {json.dumps(one.install)}")
        blocks.append("\n".join(["[[package]]", *rows, ""]))
    return "\n".join(blocks)


def _bare(purl: PackageURL) -> str:
    """Return the address of the package itself; which of its files is meant is said beside it."""
    return str(PackageURL(purl.type, purl.namespace, purl.name, purl.version))
