"""Finds the file that an import means, as Node and bundlers do: extensions, packages, conditions.

Works on names alone: a project is a set of POSIX paths, whose ``package.json`` files are read.

Source: Node.js 22, "Modules: CommonJS modules" and "ECMAScript modules"; the order of extensions
is esbuild's (``--resolve-extensions``), with TypeScript last inside node_modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, join, normpath

from toolchain.errors import FormatError, InputError
from toolchain.formats.package_json import (
    Package,
    Problem,
    browser_replacement,
    main_files,
    parse,
    resolve_export,
    resolve_import,
    split_bare,
)
from toolchain.formats.tsconfig import config_of
from toolchain.formats.workspaces import Files, folder_of

EXTENSIONS = (".tsx", ".ts", ".mts", ".jsx", ".js", ".mjs", ".cjs", ".css", ".json")
_INSIDE_PACKAGES = (".jsx", ".js", ".mjs", ".cjs", ".css", ".json", ".tsx", ".ts", ".mts")
# TypeScript sources name the file that their compiler will write
_WRITTEN_AS = {
    ".js": (".ts", ".tsx"),
    ".jsx": (".ts", ".tsx"),
    ".mjs": (".mts",),
    ".cjs": (".cts",),
}

EMPTY = ""  # what the browser field replaces by nothing

# `require("module").builtinModules` of Node.js 22, less those that start with _
_BUILTIN_NAMES = """
assert assert/strict async_hooks buffer child_process cluster console constants crypto dgram
diagnostics_channel dns dns/promises domain events fs fs/promises http http2 https inspector
inspector/promises module net os path path/posix path/win32 perf_hooks process punycode querystring
readline readline/promises repl stream stream/consumers stream/promises stream/web string_decoder
sys timers timers/promises tls trace_events tty url util util/types v8 vm wasi worker_threads zlib
"""
BUILTINS = frozenset(_BUILTIN_NAMES.split())


def is_builtin(specifier: str) -> bool:
    """Whether Node itself provides a module of this name."""
    return specifier.startswith("node:") or specifier in BUILTINS


@dataclass(frozen=True)
class Resolver:
    """Answers what imports mean in a project; ``conditions`` besides import/require/default."""

    files: Files
    conditions: frozenset[str]

    def resolve(self, specifier: str, importer: str, *, require: bool = False) -> str | Problem:
        """Return the path of the file; ``EMPTY`` where the browser field removes it.

        A package that is not among the files, and everything that is none of ours to find
        (a remote address, a module of Node), is a ``Problem``.
        """
        written = specifier
        specifier = specifier.partition("?")[0]
        if specifier.startswith("#"):
            return self._inner(specifier, importer, require=require)
        if "://" in specifier or specifier.startswith(("data:", "node:", "//")):
            return Problem(f"{written[:80]} is not a file of a package")
        if specifier in {".", ".."} or specifier.startswith(("./", "../", "/")):
            found = self._relative(specifier, importer)
        else:
            aliased = self._aliased(specifier, importer)
            found = self._bare(specifier, importer, require=require) if aliased is None else aliased
        return found

    def in_project(self, specifier: str, importer: str, *, require: bool = False) -> str | None:
        """Return the file of the project's own package that a bare import means, if it does.

        Node and bundlers find it by a link in ``node_modules``, which is none of the files.
        """
        if specifier.startswith((".", "/", "#")) or ":" in specifier:
            return None
        home, (name, _) = self.package_of(importer), split_bare(specifier)
        installed = (join(folder, name) for folder in _node_modules(importer))
        if any(self._package(folder) is not None for folder in installed):
            return None
        found = self.resolve(specifier, importer, require=require)
        own = folder_of(name, home, self.files) if isinstance(found, str) and found else None
        is_in = own is not None and isinstance(found, str) and found.startswith(own and f"{own}/")
        return found if is_in and isinstance(found, str) else None

    def is_aliased(self, specifier: str, importer: str) -> bool:
        """Whether tsconfig.json says what a bare import means."""
        is_bare = not specifier.startswith((".", "/", "#")) and ":" not in specifier
        return is_bare and self._aliased(specifier, importer) is not None

    def _aliased(self, specifier: str, importer: str) -> str | None:
        """Return what tsconfig.json says that a bare import means, if there is such a file."""
        config = config_of(importer, self.files)
        for path in config.candidates(specifier) if config else ():
            if (found := self._mapped(path)) is not None:
                return found
        return None

    def package_of(self, path: str) -> tuple[str, Package] | None:
        """Return the folder and the ``package.json`` of the package that ``path`` belongs to."""
        folder = dirname(path)
        while True:
            package = self._package(folder)
            if package is not None:
                return folder, package
            if not folder or folder.endswith("node_modules"):
                return None
            folder = dirname(folder)

    def _package(self, folder: str) -> Package | None:
        name = join(folder, "package.json")
        if name not in self.files:
            return None
        try:
            return parse(self.files.read(name))
        except FormatError as error:
            if "node_modules" in folder.split("/"):
                return None  # somebody else's: as if it were not there
            raise InputError(join(folder, str(error)), hint=error.hint) from error

    def _relative(self, specifier: str, importer: str) -> str | Problem:
        path = _join(dirname(importer), specifier)
        if path is None:
            return Problem(f"{specifier} leads out of the project")
        folder_only = specifier.endswith("/") or specifier in {".", ".."}
        found = self._mapped(path, folder_only=folder_only)
        return Problem(f"there is no file {path}") if found is None else found

    def _mapped(self, path: str, *, folder_only: bool = False) -> str | None:
        """Return the file at ``path``, after the browser map of its package; ``None`` if none."""
        found = None if folder_only else self._file(path)
        found = found or self._folder(path)
        if found is None:
            return None
        home = self.package_of(found) if "browser" in self.conditions else None
        if home is None:
            return found
        folder, package = home
        inner = "./" + (found[len(folder) + 1 :] if folder else found)
        replacement = browser_replacement(package, inner)
        if isinstance(replacement, str):
            return self._file(normpath(join(folder, replacement)))
        return found if replacement else EMPTY

    def _file(self, path: str) -> str | None:
        if path in self.files:
            return path
        stem, dot, ending = path.rpartition(".")
        order = _INSIDE_PACKAGES if "node_modules/" in path else EXTENSIONS
        for extension in order:
            if path + extension in self.files:
                return path + extension
        for extension in _WRITTEN_AS.get(dot + ending, ()):
            if stem + extension in self.files:
                return stem + extension
        return None

    def _folder(self, path: str, *, require: bool = False) -> str | None:
        package = self._package(path)
        mains = (
            main_files(package, require=require, browser="browser" in self.conditions)
            if package
            else []
        )
        for main in mains:
            target = normpath(join(path, main))
            found = self._file(target) or self._index(target)
            if found:
                return found
        return self._index(path)

    def _index(self, path: str) -> str | None:
        return self._file(join(path, "index"))

    def _inner(self, specifier: str, importer: str, *, require: bool) -> str | Problem:
        home = self.package_of(importer)
        if home is None:
            return Problem(f"{importer} belongs to no package, so {specifier} has no meaning")
        folder, package = home
        found = resolve_import(package, specifier, self._all(require=require))
        if isinstance(found, Problem):
            return found
        if found.startswith("./"):
            return self._exact(folder, found, package)
        return self._bare(found, join(folder, "package.json"), require=require)

    def _bare(self, specifier: str, importer: str, *, require: bool) -> str | Problem:
        home = self.package_of(importer)
        if home is not None and "browser" in self.conditions:
            replacement = browser_replacement(home[1], specifier)
            if replacement is False:
                return EMPTY
            if isinstance(replacement, str) and replacement.startswith("."):
                return self._relative(replacement, join(home[0], "package.json"))
            specifier = replacement if isinstance(replacement, str) else specifier
        return self._installed(specifier, importer, home, require=require)

    def _installed(
        self, specifier: str, importer: str, home: tuple[str, Package] | None, *, require: bool
    ) -> str | Problem:
        name, subpath = split_bare(specifier)
        if home is not None and home[1].name == name and "exports" in home[1].fields:
            return self._exported(*home, subpath, require=require)
        for folder in _node_modules(importer):
            found = self._in_package(join(folder, name), subpath, require=require)
            if found is not None:
                return found
        own = folder_of(name, home, self.files)
        found = None if own is None else self._in_package(own, subpath, require=require)
        if found is not None:
            return found
        if is_builtin(specifier):
            return Problem(f"{specifier} is a module of Node")
        return Problem(f"the package {name} is not installed")

    def _in_package(self, folder: str, subpath: str, *, require: bool) -> str | Problem | None:
        package = self._package(folder)
        if package is not None and package.fields.get("exports") is not None:
            return self._exported(folder, package, subpath, require=require)
        if subpath != ".":
            found = self._mapped(normpath(join(folder, subpath)))
            if found is None and package is not None:
                return Problem(f"there is no file {subpath} in {folder}")
            return found
        main = self._folder(folder, require=require)
        if main is None:
            return Problem(f"{folder} has no main file") if package is not None else None
        return self._mapped(main)

    def _exported(
        self, folder: str, package: Package, subpath: str, *, require: bool
    ) -> str | Problem:
        found = resolve_export(package, subpath, self._all(require=require))
        if isinstance(found, Problem):
            return found
        return self._exact(folder, found or subpath, package)

    def _exact(self, folder: str, target: str, package: Package) -> str | Problem:
        path = normpath(join(folder, target))
        if path in self.files:
            return path
        return Problem(f"{package.name or folder} points to {target}, which is not there")

    def _all(self, *, require: bool) -> frozenset[str]:
        return self.conditions | {"require" if require else "import"}


def _join(folder: str, relative: str) -> str | None:
    """Return the path in the project, ``None`` if it leads out of it."""
    path = normpath(join(folder, relative)).removeprefix("./")
    if path.startswith(("../", "/")) or path == "..":
        return None
    return "" if path == "." else path


def _node_modules(importer: str) -> Iterator[str]:
    """Yield the folders in which a bare import is looked for, the nearest first."""
    folder = dirname(importer)
    while True:
        if not folder.endswith("node_modules"):
            yield join(folder, "node_modules")
        if not folder:
            return
        folder = dirname(folder)
