"""JavaScript and TypeScript files: what they import, start, fetch and mention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolchain.errors import FormatError
from toolchain.formats.javascript import Mention, Module
from toolchain.formats.javascript import read as read_module
from toolchain.formats.javascript_targets import ProjectFiles, Targets
from toolchain.formats.javascript_text import without_query
from toolchain.formats.tsconfig import config_of
from toolchain.ingest.base import Contents, Form, Neighbours, Reference
from toolchain.ir import ArtifactId, Kind, Relation

KINDS = frozenset({Kind.JS, Kind.TS})

_INLINE = ("data:", "blob:")

_MANY_EXPORTS = 20  # ours: as many names as fit on a line

_STATIC: dict[str, tuple[Relation, Form]] = {
    "import": (Relation.IMPORT, "import"),
    "require": (Relation.IMPORT, "require"),
    "import()": (Relation.LAZY, "import"),
    "url": (Relation.FETCH, "url"),
    "worker url": (Relation.WORKER, "url"),
    "worker": (Relation.WORKER, "path"),
    "string": (Relation.FETCH, "path"),
    "path": (Relation.FETCH, "exact"),
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
    if module.jsx is not None:
        references += (Reference(module.jsx.source, Relation.IMPORT, "jsx", module.jsx.line),)
    problems = tuple(p for p in (module.problem, _not_utf8(text)) if p)
    return Contents(references=references, facts=tuple(_facts(module)), problems=problems)


def _not_utf8(text: bytes) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start:,}: engines read a replacement character there"
    return ""


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
    if target.startswith(_INLINE):
        return  # the file is in the address itself
    if not target or (form == "url" and target in {".", "./"}):
        return  # the module's own folder: what is read from there is named elsewhere
    if mention.computed or (form == "url" and target.endswith("/")):
        relation = Relation.DYNAMIC
    yield Reference(target, relation, form, mention.line)


def resolve(
    reference: Reference, source: ArtifactId, files: Neighbours, conditions: frozenset[str]
) -> list[ArtifactId] | None:
    """Return the files that ``reference`` may mean; None for what package.json makes empty."""
    targets = Targets(_Readable(files), conditions)
    if reference.form == "exact":
        is_known = reference.relation is not Relation.DYNAMIC
        find = targets.at if is_known else targets.matching_at
        found = find(reference.target, source)
    elif reference.relation is Relation.DYNAMIC:
        found = targets.matching(reference.target, source)
    elif reference.form == "jsx":
        runtime = _jsx_runtime(reference.target, source, files)
        found = targets.imported(runtime, source) if runtime else []
    elif reference.form in {"import", "require"}:
        require = reference.form == "require"
        found = targets.imported(reference.target, source, require=require)
        if not found and targets.is_emptied(reference.target, source, require=require):
            return None
    else:
        found = targets.named(reference.target, source, is_url=reference.form == "url")
    return [ArtifactId(name) for name in found]


def _jsx_runtime(said: str, source: ArtifactId, files: Neighbours) -> str:
    """Return what a compiler imports into the JSX of ``source``, whose comments ``said`` whence."""
    if said:
        return f"{said}/jsx-runtime"
    config = config_of(source, _Readable(files))
    return config.jsx_runtime() if config else ""


class _Readable(ProjectFiles):
    """Neighbours as resolvers want them: asked with plain paths."""

    def __init__(self, files: Neighbours) -> None:
        self._files = files

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def read(self, name: str, /) -> bytes:
        return self._files.read(ArtifactId(name))

    def named(self, basename: str, /) -> Sequence[str]:
        return self._files.named(basename)

    def in_folder(self, folder: str, /) -> Sequence[str]:
        return self._files.in_folder(folder)
