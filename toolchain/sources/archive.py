"""A path to a ``.tgz``, ``.tar.gz``, ``.tar``, ``.zip`` or ``.whl`` file, unpacked in the cache."""

from __future__ import annotations

from pathlib import Path

from toolchain.errors import InputError
from toolchain.sources import cache, tree
from toolchain.sources.base import Integrity
from toolchain.sources.cache import Unpacked
from toolchain.sources.tree import Tree


def open_tree(path: Path) -> Tree:
    """Return the files in the archive at ``path``; what npm packed loses its folder ``package``.

    Errors:
        InputError: not an archive, truncated, hostile, or nothing in it.
        UnavailableError: no room in the cache.
    """
    found = _unpacked(path)
    if not found.files:
        raise InputError(f"{path} holds no file", hint="give an archive with something in it")
    is_packed = "package/package.json" in found.files
    return tree.tree(found.peeled().files if is_packed else found.files)


def unpack(path: Path) -> Tree:
    """Return the files in the archive at ``path`` under exactly the names they have there.

    Errors:
        InputError: not an archive, truncated or hostile.
        UnavailableError: no room in the cache.
    """
    return tree.tree(_unpacked(path).files)


def _unpacked(path: Path) -> Unpacked:
    digest = tree.read(path).digest
    return cache.unpacked(Integrity("sha256", bytes.fromhex(digest)), lambda: path)
