"""Finds passes, checks, ingesters, sources and proofs: a file in the folder, or an entry point.

Ours use the same door as everybody's: ``toolchain/passes/strip_wasm.py`` is the pass
``strip-wasm``; a foreign package announces the module ``acme_vtool.my_pass`` as
``my-pass = "acme_vtool.my_pass"`` in the entry point group ``vtool.passes``.
"""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from toolchain.errors import ConfigError

_NOT_PLUGINS = {"__init__", "base"}


def names(room: str) -> list[str]:
    """Return the names of all plug-ins in ``room`` ("passes", "checks", ...), sorted."""
    return sorted({*own_names(room), *(point.name for point in _foreign(room))})


def own_names(room: str) -> list[str]:
    """Return the names of the plug-ins that are files in ``toolchain/<room>/``, sorted."""
    files = (Path(__file__).parent / room).glob("*.py")
    return sorted(f.stem.replace("_", "-") for f in files if f.stem not in _NOT_PLUGINS)


def find(room: str, name: str) -> ModuleType:
    """Import the plug-in ``name`` of ``room``; nothing else is imported.

    Errors:
        ConfigError: nobody provides that name.
    """
    if name in own_names(room):
        return importlib.import_module(f"toolchain.{room}.{name.replace('-', '_')}")
    for point in _foreign(room):
        if point.name == name:
            return importlib.import_module(point.value)
    raise ConfigError(
        f"{room} has nothing called {name!r}", hint=f"{room}: {', '.join(names(room))}"
    )


def _foreign(room: str) -> list[EntryPoint]:
    return list(entry_points(group=f"vtool.{room}"))
