"""JavaScript and TypeScript files: what they import, start, fetch and mention."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from posixpath import dirname, join, normpath

from toolchain.errors import FormatError
from toolchain.formats.javascript import Mention, Module
from toolchain.formats.javascript import read as read_module
from toolchain.formats.javascript_text import UNKNOWN, without_query
from toolchain.formats.node_resolution import Files, Resolver
from toolchain.ingest.base import Contents, Form, Neighbours, Reference
from toolchain.ir import ArtifactId, Kind, Relation

KINDS = frozenset({Kind.JS, Kind.TS})

_MANY_EXPORTS = 20  # ours: as many names as fit on a line

_STATIC: dict[str, tuple[Relation, Form]] = {
    "import": (Relation.IMPORT, "import"),
    "require": (Relation.IMPORT, "require"),
    "import()": (Relation.LAZY, "import"),
    "url": (Relation.FETCH, "url"),
    "worker url": (Relation.WORKER, "url"),
    "worker": (Relation.WORKER, "path"),
    "string": (Relation.FETCH, "path"),
}


def read(data: memoryview) -> Contents:
    """Return what a module refers to.

    Errors:
        FormatError: the file holds zero bytes, so it is no text at all.
    """
    text = bytes(data)
    if (zero := text.find(b"\0")) >= 0:
        raise FormatError("this is not JavaScript: there is a zero byte", zero)
    module = read_module(text)
    references = tuple(r for m in module.mentions for r in _reference(m))
    problems = (module.problem,) if module.problem else ()
    return Contents(references=references, facts=tuple(_facts(module)), problems=problems)


def _facts(module: Module) -> Iterator[tuple[str, str]]:
    yield "dialect", module.dialect
    yield "modules", "esm" if module.is_esm else "script or commonjs"
    names = module.exports.names
    if names:
        more = f" and {len(names) - _MANY_EXPORTS} more" if len(names) > _MANY_EXPORTS else ""
        yield "exports", ", ".join(names[:_MANY_EXPORTS]) + more


def _reference(mention: Mention) -> Iterator[Reference]:
    relation, form = _STATIC[mention.how]
    target = mention.target if form == "import" else without_query(mention.target)
    if not target or (form == "url" and target in {".", "./"}):
        return  # the module's own folder: what is read from there is named elsewhere
    if mention.computed or (form == "url" and target.endswith("/")):
        relation = Relation.DYNAMIC
    yield Reference(target, relation, form, mention.line)


def resolve(
    reference: Reference, source: ArtifactId, files: Neighbours, conditions: frozenset[str]
) -> list[ArtifactId]:
    """Return the files that ``reference`` may mean."""
    if reference.relation is Relation.DYNAMIC:
        return _matching(reference, source, files)
    if reference.form in {"import", "require"}:
        resolver = Resolver(_Readable(files), conditions)
        found = resolver.resolve(reference.target, source, require=reference.form == "require")
        return [ArtifactId(found)] if isinstance(found, str) and found else []
    return _named(reference, source, files, conditions)


class _Readable(Files):
    """Neighbours as the resolver wants them: asked with plain paths."""

    def __init__(self, files: Neighbours) -> None:
        self._files = files

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def read(self, name: str, /) -> bytes:
        return self._files.read(ArtifactId(name))


def _named(
    reference: Reference, source: ArtifactId, files: Neighbours, conditions: frozenset[str]
) -> list[ArtifactId]:
    """Resolve an address or a file name: beside the source, else as in its package."""
    target = reference.target
    path = _beside(source, target)
    if path in files:
        return [ArtifactId(path)]
    if reference.form == "url":
        # bundlers take new URL("pkg/x.wasm", import.meta.url) for a file of that package
        found = Resolver(_Readable(files), conditions).resolve(target, source)
        bare = not target.startswith((".", "/"))
        return [ArtifactId(found)] if bare and isinstance(found, str) and found else []
    return _unique(target, source, files)


def _unique(target: str, source: ArtifactId, files: Neighbours) -> list[ArtifactId]:
    """Return the one file of the same package whose path ends with ``target``, if it is one."""
    steps = [s for s in target.split("/") if s not in {"", ".", ".."}]
    if not steps:
        return []
    package = _package_folder(source, files)
    ending = "/" + "/".join(steps)
    found = [
        name
        for name in files.named(steps[-1])
        if _is_in(name, package) and f"/{name}".endswith(ending)
    ]
    return found if len(found) == 1 else []


def _matching(reference: Reference, source: ArtifactId, files: Neighbours) -> list[ArtifactId]:
    """Return the files of the same package that a pattern may mean; [] where nothing is known."""
    pattern = reference.target
    if not pattern.strip(f"{UNKNOWN}./"):
        return []
    package = _package_folder(source, files)
    if pattern.startswith("."):
        globs = [_beside(source, pattern)]
    else:
        globs = [_beside(source, pattern), join(package, pattern), join(package, "*/" + pattern)]
    globs = [_literal_brackets(g) for g in globs]
    return [
        name
        for name in files.in_folder(package)
        if _is_in(name, package) and any(fnmatchcase(name, g) for g in globs)
    ]


def _literal_brackets(pattern: str) -> str:
    """Only ``*`` is special in a pattern; fnmatch also knows ``?`` and ``[``."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _beside(source: ArtifactId, target: str) -> str:
    """Return ``target`` relative to the folder of ``source``; out of the project it is no file."""
    return normpath(join(dirname(source), target))


def _package_folder(source: ArtifactId, files: Neighbours) -> str:
    home = Resolver(_Readable(files), frozenset()).package_of(source)
    return home[0] if home is not None else dirname(source)


def _is_in(name: ArtifactId, package: str) -> bool:
    """Whether a file is of ``package`` itself, and not of one installed in it."""
    inner = name[len(package) + 1 :] if package else name
    return (not package or name.startswith(f"{package}/")) and "node_modules/" not in inner
