"""Makes a program run without a bundler: TypeScript lowered, each import leading to a file.

Every module stays a module of its own: nothing is joined, left out or renamed. What only a bundler
understands is written as node and browsers want it: an import of a package or without extension
becomes the relative address of the file it means, TypeScript and JSX become JavaScript beside them,
JSON becomes a module, and what a package's ``browser`` field removes becomes an empty one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import dirname, relpath
from urllib.parse import quote

from toolchain.errors import InputError
from toolchain.formats.esbuild import Build, Esbuild, Plugin
from toolchain.formats.javascript import Mention, Module, read
from toolchain.formats.javascript_addresses import PLAIN, edited
from toolchain.formats.javascript_targets import addressed
from toolchain.formats.javascript_text import without_query
from toolchain.formats.node_resolution import EMPTY, Resolver
from toolchain.formats.sourcemap import SourceMap, parse, seen_from_above
from toolchain.formats.workspaces import Files

_LOWERED = {".ts": ".js", ".tsx": ".js", ".jsx": ".js", ".mts": ".mjs", ".cts": ".cjs"}
_JOINED = (
    "--bundle",
    "--format=esm",
    "--platform=browser",
    "--tree-shaking=false",
    "--ignore-annotations",
    "--target=es2022",
    "--preserve-symlinks",
    "--charset=utf8",
    "--sourcemap=external",
    "--sources-content=false",
)
_IMPORTS = frozenset({"import", "import()", "require"})
_MODE = b"process.env.NODE_ENV"
_NOTHING = "data:text/javascript,export default {}"
_NOTHING_REQUIRED = "vtool-nothing.cjs"


@dataclass(frozen=True, slots=True)
class Unbundled:
    """A program's code as it can be run: ``files`` by path, to be laid over the program's own."""

    files: Mapping[str, bytes]
    paths: Mapping[str, str]  # where a module lies under another path than before
    commonjs: tuple[str, ...]  # modules that are imported and that a browser cannot load


@dataclass(frozen=True, slots=True)
class Joined:
    """A program in one file, and by its path the map back to the modules."""

    files: Mapping[str, bytes]
    maps: Mapping[str, SourceMap]


def unbundled(
    folder: Path, code: Iterable[str], resolver: Resolver, esbuild: Esbuild, mode: str
) -> Unbundled:
    """Return the modules ``code`` so that they run as they are; ``folder`` holds them as files.

    ``mode`` stands in the place of ``process.env.NODE_ENV``, as every bundler has it.

    Errors:
        InputError: TypeScript with a syntax error.
        ToolError: esbuild failed.
    """
    names = sorted(code)
    paths = _paths([n for n in names if PurePosixPath(n).suffix in _LOWERED], resolver.files)
    asks = {n for n in names if _MODE in resolver.files.read(n)}
    lowered = _lowered(folder, sorted({*paths, *asks}), esbuild, mode)
    made = _Relinking(resolver, paths)
    files: dict[str, bytes] = {}
    modules: dict[str, Module] = {}
    for name in names:
        data = lowered.get(name) or resolver.files.read(name)
        modules[name] = read(data)
        files[paths.get(name, name)] = made.module(name, data, modules[name])
    files |= made.json_modules()
    files[_NOTHING_REQUIRED] = b"module.exports = {};\n"
    commonjs = tuple(n for n in names if _is_commonjs(n, modules[n], resolver.files))
    return Unbundled(files, paths, commonjs)


def joined(
    folder: Path, entry: str, esbuild: Esbuild, plugin: Plugin, settings: tuple[str, str]
) -> Joined:
    """Return ``entry`` with all its modules in one file: nothing left out, nothing renamed.

    For programs with CommonJS modules, which a browser cannot load one by one. ``settings`` are
    the folder to write to, relative to ``folder``, and the mode.

    Errors:
        InputError: a syntax error, an import that does not resolve.
        ToolError: esbuild failed.
    """
    outdir, mode = settings
    flags = (*_JOINED, f"--outdir={outdir}", _env(mode))
    done = esbuild.build(Build(folder, {PurePosixPath(entry).stem: entry}, flags, plugin))
    if done.errors:
        first = done.errors[0]
        raise InputError(f"{first.where()}: {first.text}", hint="correct the code")
    maps = {o.path: seen_from_above(parse(o.map), o.path) for o in done.outputs if o.map}
    return Joined({o.path: o.data for o in done.outputs}, maps)


def _paths(names: Iterable[str], files: Files) -> dict[str, str]:
    """Return the paths of what TypeScript and JSX become: beside them, under a free name."""
    paths: dict[str, str] = {}
    for name in names:
        stem, _, ending = name.rpartition(".")
        path = stem + _LOWERED[f".{ending}"]
        taken = path in files or path in paths.values()
        paths[name] = name + _LOWERED[f".{ending}"] if taken else path
    return paths


def _lowered(folder: Path, names: Sequence[str], esbuild: Esbuild, mode: str) -> dict[str, bytes]:
    """Compile each file on its own, with the options of the ``tsconfig.json`` above it."""
    if not names:
        return {}
    flags = ("--outdir=.", "--target=es2022", "--preserve-symlinks", "--charset=utf8", _env(mode))
    done = esbuild.build(Build(folder, {name: name for name in names}, flags))
    if done.errors:
        first = done.errors[0]
        raise InputError(f"{first.where()}: {first.text}", hint="correct the code")
    return {output.path.removesuffix(".js"): output.data for output in done.outputs}


def _env(mode: str) -> str:
    return f"--define:{_MODE.decode()}={json.dumps(mode)}"


def _is_commonjs(name: str, module: Module, files: Files) -> bool:
    if module.is_esm:
        return False
    requires = any(m.how == "require" for m in module.mentions)
    return requires or name.endswith((".cjs", ".cts")) or b"exports" in files.read(name)


class _Relinking:
    """Rewrites what modules name, and remembers which JSON files are imported."""

    def __init__(self, resolver: Resolver, paths: Mapping[str, str]) -> None:
        self._resolver, self._files, self._paths = resolver, resolver.files, paths
        self._json: set[str] = set()

    def module(self, name: str, data: bytes, module: Module) -> bytes:
        """Return the text of a module with addresses that lead to files."""
        if module.problem:
            return data  # whoever runs it says what is wrong
        edits = {}
        for mention in module.mentions:
            address = None if mention.computed else self._address(name, mention)
            if address is not None:
                text = json.dumps(address, ensure_ascii=False)
                edits[mention.start, mention.end] = text
        return edited(data, edits)

    def json_modules(self) -> Iterator[tuple[str, bytes]]:
        """Yield a module for each JSON file that was imported."""
        for name in sorted(self._json):
            yield _json_path(name), _json_module(self._files.read(name))

    def _address(self, name: str, mention: Mention) -> str | None:
        """Return what ``mention`` is to say instead; None if it is right as it is."""
        if mention.how in _IMPORTS:
            return self._import(name, mention)
        if mention.base < 0:
            return None
        target = addressed(mention.target, name, self._files, self._resolver)
        if target is None:
            return None
        query = mention.target[len(without_query(mention.target)) :]
        return self._way(name, self._paths.get(target, target)) + query

    def _import(self, name: str, mention: Mention) -> str | None:
        require = mention.how == "require"
        target = self._resolver.resolve(mention.target, name, require=require)
        if not isinstance(target, str):
            return None
        if target == EMPTY:
            return self._way(name, _NOTHING_REQUIRED) if require else _NOTHING
        if target.endswith(".css"):
            return _NOTHING
        if target.endswith(".json") and not require:
            self._json.add(target)
            target = _json_path(target)
        query = mention.target[len(without_query(mention.target)) :]
        return self._way(name, self._paths.get(target, target)) + query

    def _way(self, name: str, target: str) -> str:
        way = relpath(target, dirname(self._paths.get(name, name)) or ".")
        return quote(way if way.startswith("../") else f"./{way}", safe=PLAIN)


def _json_path(name: str) -> str:
    return f"{name}.vtool.mjs"


def _json_module(data: bytes) -> bytes:
    """Return a module whose default export is the value, with its fields as further exports."""
    text = data.decode("utf-8-sig")
    value = json.loads(text)
    lines = [f"const value = {json.dumps(value, ensure_ascii=False)};", "export default value;"]
    fields = [k for k in value if k.isidentifier()] if isinstance(value, dict) else []
    for number, key in enumerate(fields):
        if key != "default":
            lines += [f"const field{number} = value[{json.dumps(key)}];"]
            lines += [f"export {{ field{number} as {key} }};"]
    return "\n".join(lines).encode()
