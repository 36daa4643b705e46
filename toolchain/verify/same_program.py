"""Proof that modules without their dead code are the same program.

The program is bundled before and after, with nothing removed and nothing renamed, and both bundles
are loaded in node: the names that each root exports and their types, or the error that it throws,
what it prints, and the globals and built-in classes that it changes, must be the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from toolchain.errors import InputError
from toolchain.formats import esbuild
from toolchain.formats.code_folder import code_folder
from toolchain.formats.esbuild_plugins import NodeStaysOutside
from toolchain.formats.node_module import Loading, load_module
from toolchain.ir import ArtifactId, Graph, Kind, Proof, Store
from toolchain.sources.tools import node, tool

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_FLAGS = ("--bundle", "--format=esm", "--platform=browser", "--tree-shaking=false", "--outdir=.")
_WHOLE = ("--preserve-symlinks", "--ignore-annotations")


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Return whether every root of ``after`` loads as it does in ``before``."""
    given = options.get("conditions", ())
    conditions = frozenset(map(str, given)) if isinstance(given, Sequence) else frozenset()
    roots = sorted(r for r in before.roots if before.artifacts[r].kind in _SCRIPTS)
    try:
        old = _loadings(before, roots, store, conditions)
        new = _loadings(after, roots, store, conditions)
    except InputError as error:
        return Proof("same-program", holds=False, detail=f"cannot be compared: {error}")
    for root in roots:
        if old[root] != new[root]:
            return Proof("same-program", holds=False, detail=_difference(root, old, new))
    failed = sum(bool(loading.error) for loading in old.values())
    detail = f"{len(roots)} roots load in node as before"
    if failed:
        detail += f"; {failed} of them fail there, before and after alike"
    return Proof("same-program", holds=True, detail=detail)


def _difference(
    root: ArtifactId, old: Mapping[ArtifactId, Loading], new: Mapping[ArtifactId, Loading]
) -> str:
    was, became = old[root], new[root]
    if was.error != became.error:
        return f"{root}: before {was.error or 'it loads'}; after {became.error or 'it loads'}"
    if was.exports != became.exports:
        names = sorted({name for name, _ in set(was.exports) ^ set(became.exports)})
        return f"{root} gives other values for {names}"
    if was.said != became.said:
        return f"{root} prints something else: {_first(was.said, became.said)}"
    return f"{root} changes other globals: {_first(was.changed, became.changed)}"


def _first(was: Sequence[str], became: Sequence[str]) -> str:
    """Return the first place where two lists differ, in words."""
    pairs = enumerate(zip_longest(was, became, fillvalue="nothing"))
    number, (one, other) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
    return f"number {number + 1} was {one} and is {other}"


def _loadings(
    graph: Graph, roots: Sequence[ArtifactId], store: Store, conditions: frozenset[str]
) -> dict[ArtifactId, Loading]:
    """Bundle each root, as its number, and load it in node."""
    flags = (*_FLAGS, *_WHOLE, f"--conditions={','.join(sorted(conditions))}")
    entries = {str(number): str(root) for number, root in enumerate(roots)}
    with (
        code_folder(graph.files.values(), store) as folder,
        esbuild.service(tool("esbuild")) as service,
    ):
        plugin = NodeStaysOutside(folder, graph.files, conditions)
        result = service.build(esbuild.Build(folder, entries, flags, plugin))
    if result.errors:
        first = result.errors[0]
        raise InputError(f"it does not bundle: {first.where()} {first.text}")
    with tempfile.TemporaryDirectory(prefix="vtool-load-") as name:
        folder = Path(name).resolve()
        (folder / "package.json").write_text('{"type": "module"}')
        for output in result.outputs:
            (folder / output.path).write_bytes(output.data)
        return {r: load_module(node(), folder / f"{n}.js") for n, r in enumerate(roots)}
