"""Tells where modules import each other in a circle, so that esbuild's bundle is not their meaning.

In a circle a module may run before what it imports from: a ``const``, ``let`` or ``class`` cannot
be read there, and ``try`` sees the error. esbuild writes ``var`` for all three at the top level
(0.28.2; no flag says otherwise), so that its bundle reads ``undefined``. What such sources mean the
modules themselves show, where node can load them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

from toolchain.formats.esbuild_build import Input

_STATIC = "import-statement"
_REQUIRED = "require-call"
_COMMONJS = frozenset({".cjs", ".cts"})
_DATA = frozenset({".json", ".css"})
_DISABLED = "(disabled):"  # esbuild's mark on what the browser field removes


def circular(entry: str, inputs: Mapping[str, Input]) -> frozenset[str]:
    """Return the scripts that ``entry`` loads if some of them import each other in a circle.

    Only if all are ES modules: of others node knows less than bundlers do. Else nothing.
    """
    used = _closure(entry, inputs)
    if not _has_circle(used, inputs) or not all(_is_module(name, inputs[name]) for name in used):
        return frozenset()
    return frozenset(name for name in used if PurePosixPath(name).suffix not in _DATA)


def _closure(entry: str, inputs: Mapping[str, Input]) -> set[str]:
    used, todo = {entry}, [entry]
    while todo:
        for path in _inner(inputs[todo.pop()], inputs):
            if path not in used:
                used.add(path)
                todo.append(path)
    return used


def _inner(module: Input, inputs: Mapping[str, Input], kind: str = "") -> list[str]:
    """Return the modules that a module asks for, or only those in one way."""
    return [
        one.path
        for one in module.imports
        if not one.external
        and one.path in inputs
        and not one.path.startswith(_DISABLED)
        and kind in {"", one.kind}
    ]


def _has_circle(names: Iterable[str], inputs: Mapping[str, Input]) -> bool:
    try:
        TopologicalSorter({n: _inner(inputs[n], inputs, _STATIC) for n in names}).prepare()
    except CycleError:
        return True
    return False


def _is_module(name: str, module: Input) -> bool:
    requires = any(one.kind == _REQUIRED and not one.external for one in module.imports)
    commonjs = module.form == "cjs" and not name.endswith(".json")
    return not requires and not commonjs and PurePosixPath(name).suffix not in _COMMONJS
