"""Which packages a project holds itself: workspaces, and folders that dependencies name.

npm, yarn, pnpm and bun link such a package into ``node_modules``; the link says nothing that no
``package.json`` says, and it is there only after an install. So links are not followed: an import
of such a package means its folder in the project, one module wherever it is imported, as it does
to Node, which takes a link for the folder that it leads to.

Source: npm's documentation, "workspaces"; pnpm's and Yarn's, "workspace protocol"; yarn's "link:"
and "portal:".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from posixpath import dirname, join, normpath
from typing import Protocol

from toolchain.errors import FormatError
from toolchain.formats.package_json import Package, fits, parse

_NEEDS = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
_FOLDER = ("file:", "link:", "portal:")
_WORKSPACE = "workspace:"


class Files(Protocol):
    """The files of a project, also by the last part of their names."""

    def __contains__(self, name: object) -> bool: ...

    def read(self, name: str, /) -> bytes:
        """Return the bytes of a file that is there."""
        ...

    def named(self, basename: str, /) -> Sequence[str]:
        """Return all files whose last path component is ``basename``, sorted."""
        ...


def folder_of(name: str, home: tuple[str, Package] | None, files: Files) -> str | None:
    """Return the folder of the project's own package ``name``; None where it has none.

    ``home`` is the package that imports it, with its folder. A package is one of the project's if
    ``home`` asks for a folder or a workspace, or if a ``package.json`` above counts it in.
    """
    asked = _asked(name, home[1]) if home is not None else ""
    if home is not None and asked.startswith(_FOLDER):
        folder = normpath(join(home[0], asked.partition(":")[2]))
        folder = "" if folder == "." else folder
        return folder if join(folder, "package.json") in files else None
    own = {folder: package for folder, package in _own(files) if package.name == name}
    if not asked.startswith(_WORKSPACE):
        own = {folder: own[folder] for folder in own if _is_counted(folder, files)}
    return next(iter(own)) if len(own) == 1 else None


def own_packages(files: Files) -> list[str]:
    """Return the names of all packages below the folder of the project that are not installed."""
    return [package.name for folder, package in _own(files) if folder and package.name]


def _own(files: Files) -> Iterator[tuple[str, Package]]:
    for path in files.named("package.json"):
        if "node_modules/" not in path and "!/" not in path:
            try:
                yield dirname(path), parse(files.read(path))
            except FormatError:
                continue  # whoever needs it says what is wrong


def _asked(name: str, package: Package) -> str:
    for key in _NEEDS:
        table = package.fields.get(key)
        if isinstance(table, dict) and isinstance(asked := table.get(name), str):
            return asked
    return ""


def _globs(package: Package) -> list[str]:
    found = package.fields.get("workspaces")
    found = found.get("packages") if isinstance(found, dict) else found
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _is_counted(folder: str, files: Files) -> bool:
    return any(_counts_in(top, _globs(package), folder) for top, package in _own(files))


def _counts_in(top: str, globs: Iterable[str], folder: str) -> bool:
    """Whether ``globs`` in the folder ``top`` mean ``folder``: the last one that fits counts."""
    is_in = False
    for glob in globs:
        wanted = normpath(join(top, glob.removeprefix("!")))
        if fits(folder.split("/"), wanted.split("/")):
            is_in = not glob.startswith("!")
    return is_in
