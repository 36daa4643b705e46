"""The data folders ``rules/`` and ``reports/``, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Return the data folder ``name``: inside the wheel, or beside the package in a checkout."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def is_name(text: str) -> bool:
    """Whether ``text`` can name a file in a data folder, less its ending: no path out of it.

    >>> is_name("soak"), is_name("../scenarios/soak"), is_name("/etc/passwd")
    (True, False, False)
    """
    return Path(text).name == text and "\\" not in text and "\0" not in text


def cache_folder() -> Path:
    """Return the user's cache folder: ``VTOOL_CACHE``, else the platform's place for caches."""
    chosen = os.environ.get("VTOOL_CACHE")
    return Path(chosen).absolute() if chosen else Path(platformdirs.user_cache_dir("vtool"))
