"""What a ``tsconfig.json`` tells a compiler and a resolver: how JSX is written, what paths mean.

As esbuild reads it (https://esbuild.github.io/content-types/#tsconfig-json): the nearest
``tsconfig.json`` or ``jsconfig.json`` above a file that lies in no ``node_modules``, with what it
``extends``. Comments and commas too many are allowed, as TypeScript allows them; what is broken
says nothing here, since the compiler will say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from posixpath import dirname, join, normpath
from types import MappingProxyType
from typing import Any, Protocol

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from toolchain.errors import FormatError
from toolchain.formats.javascript_text import string_value
from toolchain.formats.jsx_comments import first_name
from toolchain.formats.package_json import parse, resolve_export, split_bare

NAMES = ("tsconfig.json", "jsconfig.json")
_MOST = 16  # ours: configurations that extend each other are a mistake somewhere
_AUTOMATIC = {"react-jsx": "jsx-runtime", "react-jsxdev": "jsx-dev-runtime"}
_JSX = {
    "jsx": "jsx",
    "jsxImportSource": "jsx_import_source",
    "jsxFactory": "jsx_factory",
    "jsxFragmentFactory": "jsx_fragment_factory",
}
_NO_PATHS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Files(Protocol):
    """The files of a project."""

    def __contains__(self, name: object) -> bool: ...

    def read(self, name: str, /) -> bytes:
        """Return the bytes of a file."""
        ...


@dataclass(frozen=True, slots=True)
class TsConfig:
    """What holds for the files below a folder.

    ``paths`` maps patterns, with one ``*`` at most, to paths of the project in order of preference;
    ``base`` is the folder in which every bare import is looked for; None where there is no such.
    """

    files: tuple[str, ...]  # the configuration and all that it extends
    jsx: str = ""
    jsx_import_source: str = ""
    jsx_factory: str = ""
    jsx_fragment_factory: str = ""
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_PATHS)
    base: str | None = None

    def jsx_runtime(self) -> str:
        """Return what compilers import into JSX; empty where JSX calls what is in scope."""
        runtime = _AUTOMATIC.get(self.jsx, "")
        return f"{self.jsx_import_source or 'react'}/{runtime}" if runtime else ""

    def jsx_names(self) -> tuple[str, ...]:
        """Return the names that have to be in scope where JSX calls them: ``a`` for ``a.b``."""
        factories = (self.jsx_factory, self.jsx_fragment_factory)
        return tuple(dict.fromkeys(first_name(f) for f in factories if f))

    def candidates(self, specifier: str) -> Iterator[str]:
        """Yield the paths that a bare import may mean, the best first.

        >>> config = TsConfig((), paths={"@/*": ("src/*",)})
        >>> list(config.candidates("@/tones"))
        ['src/tones']
        """
        if specifier in self.paths:
            yield from self.paths[specifier]
        else:
            fitting = [p for p in self.paths if "*" in p and _rest(p, specifier) is not None]
            best = max(fitting, key=lambda p: p.index("*"), default=None)
            if best is not None:
                rest = _rest(best, specifier) or ""
                yield from (target.replace("*", rest, 1) for target in self.paths[best])
        if self.base is not None:
            yield normpath(join(self.base, specifier))


def config_of(source: str, files: Files) -> TsConfig | None:
    """Return what holds for ``source``, a path of the project; None where nothing does."""
    if "node_modules" in source.split("/"):
        return None
    folder = dirname(source)
    while True:
        for name in NAMES:
            if (path := join(folder, name)) in files:
                return _read(path, files, ())
        if not folder:
            return None
        folder = dirname(folder)


def _rest(pattern: str, specifier: str) -> str | None:
    before, _, after = pattern.partition("*")
    fits = specifier.startswith(before) and specifier.endswith(after)
    if not fits or len(specifier) < len(before) + len(after):
        return None
    return specifier[len(before) : len(specifier) - len(after)]


def _read(path: str, files: Files, seen: tuple[str, ...]) -> TsConfig:
    """Return what ``path`` says, over what it extends; ``seen`` extend it."""
    document = _parsed(files.read(path))
    config = TsConfig(())
    if len(seen) < _MOST:
        for extended in _extended(document.get("extends"), path, files):
            if extended != path and extended not in seen:
                below = _read(extended, files, (*seen, path))
                config = _over(config, below)
    options = document.get("compilerOptions")
    options = options if isinstance(options, dict) else {}
    own = replace(config, files=(path, *config.files))
    for option, name in _JSX.items():
        if isinstance(said := options.get(option), str) and said:
            changes: dict[str, Any] = {name: said}
            own = replace(own, **changes)
    folder = dirname(path)
    if isinstance(base := options.get("baseUrl"), str):
        own = replace(own, base=normpath(join(folder, base)))
    if isinstance(paths := options.get("paths"), dict):
        start = own.base if own.base is not None else folder
        own = replace(own, paths=dict(_paths(paths, start)))
    return own


def _over(config: TsConfig, later: TsConfig) -> TsConfig:
    """Return ``later`` with the files of both: the last of several that are extended counts."""
    return replace(
        later,
        files=(*config.files, *later.files),
        **{name: getattr(later, name) or getattr(config, name) for name in _JSX.values()},
        paths=later.paths or config.paths,
        base=config.base if later.base is None else later.base,
    )


def _paths(paths: Mapping[str, Any], start: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for pattern, targets in paths.items():
        if isinstance(targets, list):
            named = (t for t in targets if isinstance(t, str))
            yield pattern, tuple(normpath(join(start, t)) for t in named)


def _extended(extends: object, path: str, files: Files) -> Iterator[str]:
    """Yield the configurations that ``path`` extends and that are there."""
    wanted: Sequence[object] = extends if isinstance(extends, list) else [extends]
    for name in wanted:
        if not isinstance(name, str) or not name:
            continue
        found = next((p for p in _places(name, dirname(path), files) if p in files), None)
        if found is not None:
            yield found


def _places(name: str, folder: str, files: Files) -> Iterator[str]:
    """Yield where a configuration called ``name`` may be, asked for in ``folder``."""
    if name.startswith((".", "/")):
        yield from _written(normpath(join(folder, name)))
        return
    package, inner = split_bare(name)
    while True:
        home = join(folder, "node_modules", package)
        yield from _in_package(home, inner, files)
        if not folder:
            return
        folder = dirname(folder)


def _in_package(home: str, inner: str, files: Files) -> Iterator[str]:
    """Yield where the package in ``home`` may have it: as package.json says, else as called."""
    manifest = join(home, "package.json")
    if manifest in files:
        try:
            package = parse(files.read(manifest))
        except FormatError:
            return
        exported = resolve_export(package, inner, {"require", "node"})
        if exported is not None:
            if isinstance(exported, str):
                yield normpath(join(home, exported))
            return
        named = package.fields.get("tsconfig")
        if inner == "." and isinstance(named, str):
            yield from _written(normpath(join(home, named)))
    yield from _written(normpath(join(home, inner)))


def _written(path: str) -> Iterator[str]:
    yield from (path, f"{path}.json", f"{path}/tsconfig.json")


@lru_cache(maxsize=64)
def _parsed(data: bytes) -> Mapping[str, Any]:
    """Return JSON with comments as Python has it; empty where it is no object."""
    tree = Parser(Language(tree_sitter_javascript.language())).parse(b"(" + data + b"\n)")
    root = tree.root_node
    for node in (root, *root.named_children):
        for inner in node.named_children if node.type == "expression_statement" else ():
            for one in inner.named_children:
                if one.type == "object":
                    found = _value(one)
                    return found if isinstance(found, dict) else {}
    return {}


def _value(node: Node) -> object:
    if node.type == "string":
        return string_value(node)
    if node.type == "array":
        return [_value(child) for child in node.named_children if child.type != "comment"]
    if node.type == "object":
        pairs = [child for child in node.named_children if child.type == "pair"]
        named = ((p.child_by_field_name("key"), p.child_by_field_name("value")) for p in pairs)
        return {string_value(k): _value(v) for k, v in named if k is not None and v is not None}
    return None  # numbers and the like: nothing here asks for one
