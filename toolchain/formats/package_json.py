"""What a ``package.json`` says about where its files are: Node's rules, as pure functions.

``exports`` and ``imports`` with conditions, patterns and arrays; ``main``, ``module`` and both
forms of ``browser``; ``sideEffects``. Nothing here looks at a disk.

Source: Node.js 22, "Modules: Packages" and the resolution algorithm in "ECMAScript modules";
https://github.com/defunctzombie/package-browser-field-spec for ``browser``; webpack's guide to
tree shaking for ``sideEffects``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from toolchain.errors import FormatError

_STAR = "*"
_HINT = "correct the file"


@dataclass(frozen=True, slots=True)
class Package:
    """A parsed ``package.json``."""

    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The package's name, empty where it has none."""
        name = self.fields.get("name")
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request leads nowhere, in words for people."""

    text: str


@lru_cache(maxsize=1024)  # every import of a project asks the same few
def parse(data: bytes) -> Package:
    """Read a ``package.json``.

    Errors:
        FormatError: not JSON, or not an object.
    """
    try:
        fields = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        offset = len(error.doc[: error.pos].encode())
        raise FormatError(f"package.json is not JSON: {error.msg}", offset, hint=_HINT) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise FormatError("package.json is not JSON: no readable text", 0, hint=_HINT) from error
    if not isinstance(fields, dict):
        raise FormatError("package.json is not an object", 0, hint=_HINT)
    return Package(fields)


def resolve_export(
    package: Package, subpath: str, conditions: Collection[str]
) -> str | Problem | None:
    """Return the file that ``exports`` gives for ``subpath`` ("." or "./x"), as ``./path``.

    ``None`` means that the package has no ``exports`` at all, so that any file may be asked for.

    >>> package = Package({"exports": {".": {"import": "./a.mjs"}, "./x/*": "./lib/*.js"}})
    >>> resolve_export(package, "./x/b", {"import"}), resolve_export(package, ".", {"import"})
    ('./lib/b.js', './a.mjs')
    """
    exports = package.fields.get("exports")
    if exports is None:
        return None
    if _is_sugar(exports):
        exports = {".": exports}
    if not isinstance(exports, dict) or not all(k.startswith(".") for k in exports):
        return Problem(f"the exports of {package.name or 'the package'} are malformed")
    found = _match(exports, subpath, _Request(package, subpath, frozenset(conditions), inner=False))
    if found is None:
        what = "its main entry" if subpath == "." else subpath
        return Problem(f"{package.name or 'the package'} does not export {what}")
    return found


def resolve_import(package: Package, name: str, conditions: Collection[str]) -> str | Problem:
    """Return what ``imports`` gives for ``#name``: a file ``./path`` or another package's name."""
    imports = package.fields.get("imports")
    if name == "#" or name.startswith("#/") or not isinstance(imports, dict):
        return Problem(f"{package.name or 'the package'} has no import {name}")
    found = _match(imports, name, _Request(package, name, frozenset(conditions), inner=True))
    return found or Problem(f"{package.name or 'the package'} has no import {name}")


def _is_sugar(exports: object) -> bool:
    """Whether ``exports`` is a target itself, and not a table of subpaths."""
    if isinstance(exports, dict):
        return not any(key.startswith(".") for key in exports)
    return isinstance(exports, str | list)


@dataclass(frozen=True, slots=True)
class _Request:
    package: Package
    subpath: str
    conditions: frozenset[str]
    inner: bool  # `imports`: targets may be other packages


def _match(table: Mapping[str, Any], subpath: str, request: _Request) -> str | Problem | None:
    if subpath in table and _STAR not in subpath:
        return _target(table[subpath], None, request)
    if subpath.endswith("/") and request.inner:
        return None  # Node refuses folders here; in exports it only warns
    for key in sorted((k for k in table if k.count(_STAR) == 1), key=_most_specific_first):
        start, end = key.split(_STAR)
        fits = subpath.startswith(start) and subpath.endswith(end)
        if fits and len(subpath) >= len(key):  # the star stands for one character at least
            return _target(table[key], subpath[len(start) : len(subpath) - len(end)], request)
    return None


def _most_specific_first(key: str) -> tuple[int, int]:
    """PATTERN_KEY_COMPARE: the longer text before the star wins, then the longer key."""
    return -key.index(_STAR), -len(key)


def _target(target: object, match: str | None, request: _Request) -> str | Problem | None:
    """PACKAGE_TARGET_RESOLVE; ``None``: no condition holds, so whoever comes next may try."""
    if isinstance(target, str):
        return _path(target, match, request)
    if isinstance(target, dict):
        for condition, inner in target.items():
            if condition == "default" or condition in request.conditions:
                found = _target(inner, match, request)
                if found is not None:
                    return found
        return None
    if isinstance(target, list) and target:
        return _first(target, match, request)
    # null and an empty list close a subpath; nothing else is allowed here
    return Problem(f"{request.subpath} leads to {json.dumps(target)}, which is no file")


def _first(targets: Sequence[object], match: str | None, request: _Request) -> str | Problem | None:
    last: Problem | None = None
    for target in targets:
        found = _target(target, match, request)
        if isinstance(found, str):
            return found
        last = found or last
    return last


def _path(target: str, match: str | None, request: _Request) -> str | Problem:
    path = target if match is None else target.replace(_STAR, match)
    if not target.startswith("./"):
        if request.inner and not target.startswith(("../", "/")):
            return path
        return Problem(f"{request.subpath} leads to {target!r}, outside the package")
    steps = path.replace("\\", "/").split("/")[1:]
    if any(step in {".", "..", "node_modules"} for step in steps):
        return Problem(f"{request.subpath} leads to {path!r}, outside the package")
    return path


def main_files(package: Package, *, require: bool, browser: bool) -> list[str]:
    """Return where the package's main file may be, most wanted first, as written.

    For a bundler: ``browser``, then ``module`` for an import and ``main`` for a require.
    """
    order = ["main", "module"] if require else ["module", "main"]
    names = ["browser", *order] if browser else order
    found = [package.fields.get(name) for name in names]
    return [f for f in found if isinstance(f, str) and f]


def browser_replacement(package: Package, request: str) -> str | bool:
    """Return what the ``browser`` map puts in the place of ``request``.

    ``request`` is ``./file`` of this package or the name of another; the answer is a new request,
    ``False`` for an empty module, ``True`` for no replacement.
    """
    table = package.fields.get("browser")
    if not isinstance(table, dict):
        return True
    for name in _spellings(request):
        if name in table:
            value = table[name]
            return value if isinstance(value, str) else value is not False
    return True


def _spellings(request: str) -> list[str]:
    if not request.startswith("./"):
        return [request]
    bare = request.removeprefix("./")
    endings = ("", ".js", ".json", "/index.js", "/index.json")
    return [start + bare + end for end in endings for start in ("./", "")]


def has_side_effects(package: Package, path: str) -> bool:
    """Whether importing ``path`` (relative to the package) alone may change something.

    >>> has_side_effects(Package({"sideEffects": ["*.css"]}), "dist/a.css")
    True
    >>> has_side_effects(Package({"sideEffects": False}), "dist/a.js")
    False
    """
    effects = package.fields.get("sideEffects")
    if isinstance(effects, bool):
        return effects
    if not isinstance(effects, list):
        return True
    return any(_glob(path, pattern) for pattern in effects if isinstance(pattern, str))


def _glob(path: str, pattern: str) -> bool:
    if "/" not in pattern:
        pattern = f"**/{pattern}"  # a name alone means a file of that name in any folder
    return fits(path.split("/"), pattern.removeprefix("./").split("/"))


def fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the steps of a path fit those of a glob: ``**`` is any number of steps."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(fits(path[i:], pattern[1:]) for i in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and fits(path[1:], pattern[1:])


def split_bare(specifier: str) -> tuple[str, str]:
    """Split a bare import into the package's name and the subpath for ``exports``.

    >>> split_bare("@scope/name/sub/file.js"), split_bare("name")
    (('@scope/name', './sub/file.js'), ('name', '.'))
    """
    parts = specifier.split("/")
    count = 2 if specifier.startswith("@") else 1
    rest = "/".join(parts[count:])
    return "/".join(parts[:count]), f"./{rest}" if rest else "."
