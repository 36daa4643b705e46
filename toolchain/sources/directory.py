"""A path to a folder: all files in it, except version control's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from toolchain.errors import InputError
from toolchain.sources import tree
from toolchain.sources.tree import Tree

_VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".jj"})


def open_tree(path: Path) -> Tree:
    """Return all files in the folder ``path``.

    A link to a file inside the folder is a file; a link to a folder inside it is left out, because
    the files are there under their own names. (What imports of a workspace mean needs no link:
    ``formats/workspaces.py``.)

    Errors:
        InputError: no such folder, nothing in it, something unreadable or no file, a link that
            leaves it.
    """
    return collect(path, lambda name: name.rpartition("/")[2] not in _VERSION_CONTROL)


def collect(root: Path, wanted: Callable[[str], bool]) -> Tree:
    """Return the files below ``root`` whose name, and whose folders' names, are ``wanted``.

    Errors:
        InputError: as ``open_tree``.
    """
    real = root.resolve()
    files = {name: tree.read(path) for name, path in _walk(root, "", real, wanted)}
    if not files:
        raise InputError(f"there is no file in {root}", hint="give a folder with something in it")
    return tree.tree(files)


def _walk(
    folder: Path, prefix: str, real: Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, Path]]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be listed: {error.strerror}",
            hint="check that it is a readable folder",
        ) from error
    for entry in entries:
        name = prefix + entry.name
        if not wanted(name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{name}/", real, wanted)
        elif (path := _file(entry, real)) is not None:
            yield name, path


def _file(entry: os.DirEntry[str], real: Path) -> Path | None:
    """Return the file an entry stands for; None for a link to a folder."""
    path = Path(entry.path)
    is_link = entry.is_symlink()
    if is_link and not path.resolve().is_relative_to(real):
        raise InputError(
            f"{path} is a link out of the folder",
            hint="copy its target in, remove the link, or give the folder above both",
        )
    if is_link and path.is_dir():
        return None
    if not (path.is_file() if is_link else entry.is_file()):
        raise InputError(
            f"{path} is not a file",
            hint="remove it: vtool reads files and folders, no pipes, devices or dead links",
        )
    try:
        entry.name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path.parent} has a file whose name is not UTF-8", hint="rename it"
        ) from error
    return path
