"""Proof that modules without their dead code are the same program.

The program is bundled before and after, with nothing removed and nothing renamed, and both bundles
are loaded in node: the names that each root exports and their types, or the error that it throws,
what it prints, and the globals and built-in classes that it changes, must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from toolchain.errors import InputError
from toolchain.formats import esbuild
from toolchain.formats.code_folder import code_folder
from toolchain.formats.esbuild_plugins import NodeStaysOutside
from toolchain.formats.node_module import Laid, Loading, load_both, spoken
from toolchain.ir import ArtifactId, Graph, Kind, Proof, Store
from toolchain.sources.tools import node, tool
from toolchain.temporary import temporary_folder

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_FLAGS = ("--bundle", "--format=esm", "--platform=browser", "--tree-shaking=false", "--outdir=.")
_WHOLE = ("--preserve-symlinks", "--target=es2022", "--ignore-annotations")


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Return whether every root of ``after`` loads as it does in ``before``."""
    if before == after:
        return Proof("same-program", holds=True, detail="nothing was removed")
    given = options.get("conditions", ())
    conditions = frozenset(map(str, given)) if isinstance(given, Sequence) else frozenset()
    roots = sorted(r for r in before.roots if before.artifacts[r].kind in _SCRIPTS)
    with temporary_folder(prefix="vtool-load-") as name:
        sides = Path(name).resolve() / "old", Path(name).resolve() / "new"
        try:
            for graph, side in zip((before, after), sides, strict=True):
                _lay_out(_bundles(graph, roots, store, conditions), side)
        except InputError as error:
            return Proof("same-program", holds=False, detail=f"cannot be compared: {error}")
        failed = late = 0
        for number, root in enumerate(roots):
            both = load_both(node(), *(Laid(side / f"{number}.js", side) for side in sides))
            old, new = both.ours, both.theirs
            if not both.are_alike:
                return Proof("same-program", holds=False, detail=_difference(root, old, new))
            failed += bool(old.error) and not old.is_late
            late += old.is_late
    detail = f"{len(roots)} roots load in node as before"
    if failed:
        detail += f"; {failed} of them fail there, before and after alike"
    if late:
        detail += f"; {late} of them never came to an end, so nothing of them was compared"
    return Proof("same-program", holds=True, detail=detail)


def _difference(root: ArtifactId, was: Loading, became: Loading) -> str:
    if was.error != became.error:
        return f"{root}: before {was.error or 'it loads'}; after {became.error or 'it loads'}"
    if was.exports != became.exports:
        names = sorted({name for name, _ in set(was.exports) ^ set(became.exports)})
        return f"{root} gives other values for {names}"
    said = spoken(was, became)
    if said[0] != said[1]:
        return f"{root} prints something else: {_first(*said)}"
    return f"{root} changes other globals: {_first(was.changed, became.changed)}"


def _first(was: Sequence[str], became: Sequence[str]) -> str:
    """Return the first place where two lists differ, in words."""
    pairs = enumerate(zip_longest(was, became, fillvalue="nothing"))
    number, (one, other) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
    return f"number {number + 1} was {one} and is {other}"


def _bundles(
    graph: Graph, roots: Sequence[ArtifactId], store: Store, conditions: frozenset[str]
) -> Sequence[esbuild.Output]:
    """Bundle each root, as its number."""
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
    return result.outputs


def _lay_out(bundles: Sequence[esbuild.Output], folder: Path) -> None:
    folder.mkdir()
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    for output in bundles:
        (folder / output.path).write_bytes(output.data)
