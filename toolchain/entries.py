"""Which files a package offers to its users: the roots of a target that has no vtool.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from posixpath import normpath
from typing import Any

from toolchain.errors import InputError
from toolchain.formats import package_json
from toolchain.sources.tree import SourceFile

_FIELDS = ("main", "module", "browser", "unpkg", "jsdelivr")
"""Fields of package.json that name an entry: Node's, bundlers', and those of the two large CDNs."""

_ENDINGS = ("", ".js", ".mjs", ".cjs", ".json", "/index.js")  # what Node tries for "main"
_DECLARATIONS = (".d.ts", ".d.mts", ".d.cts")  # for editors; nothing of them runs


def entries(files: Mapping[str, SourceFile], folder: str = "") -> tuple[str, ...]:
    """Return the files that the package in ``folder`` offers, sorted; () where there is none.

    Every condition of ``exports`` counts: somebody may use it.

    Errors:
        InputError: package.json is not what it should be.
    """
    prefix = f"{folder}/" if folder else ""
    manifest = files.get(f"{prefix}package.json")
    if manifest is None:
        return ()
    fields = _fields(manifest)
    named = [f"{prefix}{normpath(path)}" for path in _named(fields)] or [f"{prefix}index.js"]
    return tuple(sorted({name for path in named for name in _existing(path, files)}))


def _fields(manifest: SourceFile) -> Mapping[str, Any]:
    try:
        return package_json.parse(manifest.path.read_bytes()).fields
    except InputError as error:
        raise InputError(f"package.json: {error}", hint=error.hint) from error


def _named(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in _FIELDS:
        if isinstance(fields.get(name), str):
            yield fields[name]
    bins = fields.get("bin")
    yield from _leaves(bins)
    yield from _leaves(fields.get("exports"))


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)


def _existing(path: str, files: Mapping[str, SourceFile]) -> Iterator[str]:
    if "*" in path:
        found = (n for n in files if fnmatchcase(n, path))
    else:
        found = (path + e for e in _ENDINGS if path + e in files)
    yield from (n for n in found if not n.endswith(_DECLARATIONS))
