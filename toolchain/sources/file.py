"""A path to one file that is no archive."""

from __future__ import annotations

from pathlib import Path

from toolchain.sources import tree
from toolchain.sources.tree import Tree


def open_tree(path: Path) -> Tree:
    """Return a tree of this one file under its own name.

    Errors:
        InputError: it cannot be read.
    """
    return tree.tree({path.name: tree.read(path)})
