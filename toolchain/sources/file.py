"""A path to one file that is no archive."""

from __future__ import annotations

from pathlib import Path

from toolchain.errors import InputError
from toolchain.sources import tree
from toolchain.sources.tree import Tree


def open_tree(path: Path) -> Tree:
    """Return a tree of this one file under its own name.

    Errors:
        InputError: it cannot be read, or is empty.
    """
    found = tree.read(path)
    if not found.size:
        raise InputError(f"{path} is empty", hint="give a file with something in it")
    return tree.tree({path.name: found})
