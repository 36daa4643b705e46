"""Finds the files that an address or a name in a script may mean, among the files of a project."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from posixpath import dirname, join, normpath
from typing import Protocol
from urllib.parse import unquote

from toolchain.formats.javascript_text import UNKNOWN, path_in
from toolchain.formats.node_resolution import EMPTY, Resolver
from toolchain.formats.workspaces import Files


class ProjectFiles(Files, Protocol):
    """The files of a project, also by their folders."""

    def in_folder(self, folder: str, /) -> Sequence[str]:
        """Return all files below ``folder`` ("" is everything), sorted."""
        ...


def addressed(
    address: str, source: str, files: Container[object], resolver: Resolver
) -> str | None:
    """Return the file that ``new URL(address, import.meta.url)`` in ``source`` means, if any.

    Bundlers take ``new URL("pkg/x.wasm", import.meta.url)`` for a file of that package.
    """
    path = path_in(address)
    beside = _beside(source, path)
    if beside in files:
        return beside
    if path.startswith((".", "/")):
        return None
    found = resolver.resolve(path, source)
    return found if isinstance(found, str) and found else None


@dataclass(frozen=True)
class Targets:
    """Answers what a script in a project names; ``conditions`` are those of package.json."""

    files: ProjectFiles
    conditions: frozenset[str]

    @cached_property
    def resolver(self) -> Resolver:
        """The resolver of imports among the same files."""
        return Resolver(self.files, self.conditions)

    def imported(self, specifier: str, source: str, *, require: bool = False) -> list[str]:
        """Return the module that an import means: one, or none."""
        found = self.resolver.resolve(specifier, source, require=require)
        return [found] if isinstance(found, str) and found else []

    def is_emptied(self, specifier: str, source: str, *, require: bool) -> bool:
        """Whether a ``browser`` field puts nothing in the place of what an import means."""
        return self.resolver.resolve(specifier, source, require=require) == EMPTY

    def named(self, target: str, source: str, *, is_url: bool) -> list[str]:
        """Return the file beside ``source``, else the one of its package that is called so."""
        if is_url:
            found = addressed(target, source, self.files, self.resolver)
            return [found] if found is not None else []
        spellings = dict.fromkeys((target, unquote(target)))  # a path, or an address
        beside = [p for p in (_beside(source, s) for s in spellings) if p in self.files]
        return beside[:1] or next(filter(None, (self._unique(s, source) for s in spellings)), [])

    def at(self, address: str, source: str) -> list[str]:
        """Return the file that is just where a string says, if it is the path of one.

        A page takes it from the root of the site, or from its own folder; code may take it from
        beside itself. What is asked for at the root may lie in a folder that is served as one.
        """
        for path in dict.fromkeys((address, unquote(address))):
            for place in _places(path, source):
                if place in self.files:
                    return [place]
        is_ours = "node_modules/" not in source
        return self._unique(unquote(address), source) if address[:1] == "/" and is_ours else []

    def matching_at(self, pattern: str, source: str) -> list[str]:
        """Return the files of which one is just where a string that is put together says."""
        globs = [_literal_brackets(p) for p in _places(unquote(pattern), source)]
        root, package = "", self._package_folder(source)
        found = [
            name
            for name in self.files.in_folder(root)
            if (_is_in(name, root) or _is_in(name, package))
            and any(fnmatchcase(name, g) for g in globs)
        ]
        return found or (self.matching(pattern, source) if pattern[:1] == "/" else [])

    def matching(self, pattern: str, source: str) -> list[str]:
        """Return the files of the same package that a pattern may mean; [] if nothing is known."""
        if not pattern.strip(f"{UNKNOWN}./"):
            return []
        package, pattern = self._package_folder(source), unquote(pattern)
        if pattern.startswith("/"):
            inner = pattern.lstrip("/")  # of the site: the project, or a folder that is served
            globs = [inner, join(package, inner), join(package, "*/" + inner)]
        elif pattern.startswith("."):
            globs = [_beside(source, pattern)]
        else:
            globs = [
                _beside(source, pattern),
                join(package, pattern),
                join(package, "*/" + pattern),
            ]
        globs = [_literal_brackets(g) for g in globs]
        return [
            name
            for name in self.files.in_folder(package)
            if _is_in(name, package) and any(fnmatchcase(name, g) for g in globs)
        ]

    def _unique(self, target: str, source: str) -> list[str]:
        """Return the one file of the package whose path ends with ``target``, if it is one."""
        steps = [s for s in target.split("/") if s not in {"", ".", ".."}]
        if not steps:
            return []
        package = self._package_folder(source)
        ending = "/" + "/".join(steps)
        found = [
            name
            for name in self.files.named(steps[-1])
            if _is_in(name, package) and f"/{name}".endswith(ending)
        ]
        return found if len(found) == 1 else []

    def _package_folder(self, source: str) -> str:
        home = Resolver(self.files, frozenset()).package_of(source)
        return home[0] if home is not None else dirname(source)


def _places(path: str, source: str) -> list[str]:
    """Return where a file lies that a string calls ``path``: beside the code, or from the root."""
    root = normpath(path.lstrip("/"))
    if path.startswith("/"):
        return [root]
    is_ours = "node_modules/" not in source and not root.startswith("..")
    return [_beside(source, path), root] if is_ours else [_beside(source, path)]


def _literal_brackets(pattern: str) -> str:
    """Only ``*`` is special in a pattern; fnmatch also knows ``?`` and ``[``."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _beside(source: str, target: str) -> str:
    """Return ``target`` relative to the folder of ``source``; out of the project it is no file."""
    return normpath(join(dirname(source), target))


def _is_in(name: str, package: str) -> bool:
    """Whether a file is of ``package`` itself, and not of one installed in it."""
    inner = name[len(package) + 1 :] if package else name
    return (not package or name.startswith(f"{package}/")) and "node_modules/" not in inner
