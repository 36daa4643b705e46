"""What a program still asks for once it is bundled: code that was shaken off starts nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePosixPath
from posixpath import dirname, join, normpath
from urllib.parse import quote

from toolchain.formats import esbuild
from toolchain.formats.esbuild_build import Input
from toolchain.formats.javascript import Mention, read
from toolchain.formats.javascript_text import path_in
from toolchain.ir import ArtifactId, Edge, Graph, Relation

_IMPORTS = frozenset({"import", "import()", "require"})
_LOADED = frozenset({Relation.FETCH, Relation.WORKER})


def starting(graph: Graph, entries: Collection[ArtifactId]) -> set[ArtifactId]:
    """Return those of ``entries`` that need no code to start them, or code that computes names."""
    computed = {e.target for e in graph.edges if e.relation is Relation.DYNAMIC}
    return {i for i in entries if i in graph.roots or i in computed}


def started(result: esbuild.Result, roots: Collection[str], entries: Collection[str]) -> set[str]:
    """Return those of ``entries`` whose bundles start: ``roots``, and what live code starts."""
    live = live_outputs(result, roots)
    return {o.entry for o in result.outputs if o.path in live and o.entry in entries}


def live_outputs(result: esbuild.Result, roots: Collection[str]) -> set[str]:
    """Return the paths of the outputs that the bundles of ``roots``, modules, may load.

    A bundle that is started beside the page is loaded where its file's name stands in the code.
    """
    outputs = {o.path: o for o in result.outputs if o.path.endswith(".js")}
    beside = {o.path for o in outputs.values() if o.entry}
    seen = {o.path for o in outputs.values() if o.entry in roots}
    todo = list(seen)
    while todo:
        output = outputs[todo.pop()]
        imported = {one.path for one in output.imports if not one.external} & outputs.keys()
        named = {p for p in beside if PurePosixPath(p).name.encode() in output.data}
        found = (imported | named) - seen
        seen |= found
        todo += found
    return seen


def is_named(
    edge: Edge, module: bytes, outputs: Iterable[esbuild.Output], target: ArtifactId
) -> bool:
    """Whether ``outputs`` may still load what ``module``, which went into one, did by ``edge``.

    That is known where the module writes the file's name out: a bundler rewrites the way to a file,
    never its name; it may write a constant into another module's code. ``target`` is what the file
    is called now.
    """
    name = PurePosixPath(edge.target).name
    if edge.relation not in _LOADED or quote(name) != name or name.encode() not in module:
        return True
    written = (m for m in _mentions(module) if m.how not in _IMPORTS and not m.computed)
    if not any(path_in(m.target).rpartition("/")[2] == name for m in written):
        return True
    names = [PurePosixPath(one).name.encode() for one in (edge.target, target)]
    return any(name in output.data for output in outputs for name in names)


@lru_cache(maxsize=64)  # who asks about one edge of a module asks about all
def _mentions(module: bytes) -> tuple[Mention, ...]:
    return read(module).mentions


def is_bundled(edge: Edge, module: bytes, inputs: Mapping[str, Input]) -> bool:
    """Whether a computed name that may mean a module is one that the bundler knows the files of.

    esbuild takes ``import(`./voices/${name}.js`)`` for all files that fit and bundles them. They
    are files no longer, unless the name may also be computed for something else.
    """
    source = inputs.get(edge.source)
    if edge.relation is not Relation.DYNAMIC or edge.target not in inputs or source is None:
        return False
    globs = [one.path for one in source.imports if one.external and "*" in one.path]
    if not any(glob_of(edge.source, one).fullmatch(edge.target) for one in globs):
        return False
    name = PurePosixPath(edge.target).name
    others = (m for m in _mentions(module) if m.computed and m.how not in _IMPORTS)
    return not any(fnmatchcase(name, m.target.rpartition("/")[2]) for m in others)


def glob_of(module: str, pattern: str) -> re.Pattern[str]:
    """Return esbuild's pattern in ``module`` as one on paths: ``**`` is any folders, ``*`` one."""
    path = normpath(join(dirname(module), pattern))
    parts = re.split(r"(\*\*/|\*)", path)
    signs = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(signs.get(part) or re.escape(part) for part in parts))
