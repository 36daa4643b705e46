"""``vtool.toml``: what a project is made of, and what is to be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from toolchain.errors import ConfigError
from toolchain.sources import address
from toolchain.tables import load, table

MANIFEST = "vtool.toml"


@table
class Input:
    """A file, or a folder where ``member`` ends in a slash, taken out of a package."""

    path: str  # where it lies in the project
    source: Annotated[str, Field(alias="from")]  # a package address with its exact version
    member: str  # its name in the package; "./" is all of it
    role: Literal["ship", "reference"] = "ship"  # reference: only the harness reads it


@table
class Scenario:
    """How the application is driven, to see that it behaves the same before and after."""

    script: str  # an ES module whose default export drives the application
    entry: str = ""  # which of ``entries``; empty where there is one
    runs_in: tuple[Literal["node", "chromium"], ...] = ("node", "chromium")
    microphone: str = ""  # a WAV of the project that Chromium hears
    limit_s: Annotated[float, Field(gt=0, le=600)] = 60


@table
class Settings:
    """The keys of ``vtool.toml``."""

    name: str
    pipeline: str = "web"  # in rules/pipelines
    budgets: str = "web"  # in rules/budgets
    entries: tuple[str, ...] = ()  # where JavaScript or TypeScript starts
    conditions: tuple[str, ...] = ("browser", "module")  # of package.json's exports
    sources: tuple[str, ...] = ()  # own files and folders; none named: all of the project's folder
    packages: Mapping[str, str] = field(default_factory=dict)  # npm: name to version or range
    input: tuple[Input, ...] = ()
    dynamic: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep: tuple[str, ...] = ()  # globs of files that are loaded in a way that no code shows
    targets: tuple[str, ...] = ()  # in rules/targets: where models run
    profiles: tuple[str, ...] = ()  # own files and folders that passes run; they do not ship
    scenario: Scenario | None = None
    voice: dict[str, Any] = field(default_factory=dict)  # the harness knows what is in it


@dataclass(frozen=True, kw_only=True)
class Project(Settings):
    """A folder with a ``vtool.toml``."""

    folder: Path

    @property
    def requested(self) -> tuple[str, ...]:
        """Every package the project asks for, sorted: what a lock must answer."""
        packages = {f"npm:{name}@{wanted}" for name, wanted in self.packages.items()}
        return tuple(sorted(packages | {one.source for one in self.input}))


def load_project(folder: Path) -> Project:
    """Read ``vtool.toml`` in ``folder``.

    Errors:
        ConfigError: there is none, an unknown key, a wrong type, a path that leaves the project.
    """
    path = folder / MANIFEST
    settings = load(path, Settings)
    for one in settings.input:
        try:
            address.exact(one.source)
        except ConfigError as error:
            raise ConfigError(f"{path}: input.from: {error}", hint=error.hint) from error
        inside(path, "input.member", one.member)
    named = {
        "input.path": [one.path for one in settings.input],
        "entries": settings.entries,
        "sources": settings.sources,
        "profiles": settings.profiles,
        "scenario.script": [settings.scenario.script] if settings.scenario else [],
    }
    for key, name in ((key, name) for key, names in named.items() for name in names):
        inside(path, key, name)
    for name in settings.entries:
        if name.lower().endswith((".html", ".htm")):
            raise ConfigError(
                f"{path}: entries: {name!r}: pages are not read yet",
                hint="name the script that the page loads, and point the page at app/NAME.js",
            )
    return Project(folder=folder, **vars(settings))


def inside(manifest: Path, key: str, name: str) -> None:
    """Check that ``name``, found under ``key``, is a relative path that stays in its folder.

    Errors:
        ConfigError: it does not.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not name:
        raise ConfigError(
            f"{manifest}: {key}: {name!r} is not a path inside the project",
            hint="write it relative to the project's folder, with forward slashes",
        )
