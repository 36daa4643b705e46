"""Tells which package a file belongs to, and which of its files are its licence."""

from __future__ import annotations

from toolchain.ir import Artifact, ArtifactId, Kind

_MODULES = "node_modules"
_NOTICE_STEMS = ("license", "licence", "notice", "copying", "thirdparty", "third-party")
_NOTICE_KINDS = frozenset({Kind.TEXT, Kind.DATA, Kind.HTML, Kind.JSON})  # LICENSE is DATA


def file_of(name: ArtifactId) -> ArtifactId:
    """Return the file a part or an archive's member lies in; a file is its own.

    >>> file_of(ArtifactId("a/x.zip!/b.wasm#section/code")), file_of(ArtifactId("a.js"))
    ('a/x.zip', 'a.js')
    """
    return ArtifactId(name.partition("#")[0].partition("!/")[0])


def package_of(name: ArtifactId) -> str:
    """Return the folder of the package that ``name`` belongs to: the innermost one.

    Outside of node_modules that is the first folder of the path, or ``.`` for a file in none.
    What is not there (``external:fs``) belongs to ``external`` or ``unknown``.

    >>> [package_of(ArtifactId(i)) for i in ("node_modules/@a/b/c.js", "src/x/y.ts", "app.js")]
    ['node_modules/@a/b', 'src', '.']
    >>> package_of(ArtifactId("node_modules/a/node_modules/b/c.js"))
    'node_modules/a/node_modules/b'
    """
    scheme, colon, _ = name.partition(":")
    if colon and scheme in {Kind.EXTERNAL, Kind.UNKNOWN}:
        return scheme
    folders = file_of(name).split("/")[:-1]
    if _MODULES not in folders:
        return folders[0] if folders else "."
    start = len(folders) - folders[::-1].index(_MODULES)
    scoped = start < len(folders) and folders[start].startswith("@")
    return "/".join(folders[: start + (2 if scoped else 1)])


def is_notice(artifact: Artifact) -> bool:
    """Whether a file is a licence or notice that must go wherever its package goes.

    >>> from toolchain.ir import Digest
    >>> from toolchain.units import Bytes
    >>> is_notice(Artifact(ArtifactId("a/LICENSE-MIT"), Kind.DATA, Digest(""), Bytes(1)))
    True
    """
    stem = artifact.id.rpartition("/")[2].lower()
    return artifact.kind in _NOTICE_KINDS and stem.startswith(_NOTICE_STEMS)
