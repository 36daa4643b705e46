"""What reading one file yields: its parts, what it refers to, and facts for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from toolchain.ir import ArtifactId, Kind, Relation
from toolchain.units import Bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A byte range of a file with one owner. Parts never overlap; gaps become ``other``."""

    kind: Kind
    name: str  # unique in its file and kind
    offset: int
    size: Bytes
    facts: tuple[tuple[str, str], ...] = ()  # type, shape, readers of a tensor: for people


Form = Literal["import", "require", "jsx", "url", "path", "exact", "library", "data"]
"""How a target is written: an ES import, a CommonJS require, JSX whose compiler may import what
it calls, a URL relative to the file, a bare path or file name in a string, any string that names a
file only if there is one just where it says, a native library's soname, a model's external data."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Something a file mentions and may need; ``target`` is as written there.

    For ``Relation.DYNAMIC`` the target is a pattern in which ``*`` stands for what is computed
    at run time: ``*ort-wasm-simd-threaded*.wasm``, or ``*`` alone where nothing is known.
    """

    target: str
    relation: Relation
    form: Form = "import"
    line: int = 0  # 1-based; 0 where a file has no lines


@dataclass(frozen=True, slots=True)
class Contents:
    """What one file holds, as its ingester sees it without looking at any other file."""

    parts: tuple[Part, ...] = ()
    references: tuple[Reference, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = field(default=())  # what could not be read, for findings


class Neighbours(Protocol):
    """All files of the project, as a resolver may ask for them."""

    def __contains__(self, name: object) -> bool: ...

    def read(self, name: ArtifactId) -> bytes:
        """Return the bytes of a file (package.json)."""
        ...

    def in_folder(self, folder: str) -> list[ArtifactId]:
        """Return the ids of all files below ``folder``, sorted."""
        ...

    def named(self, basename: str) -> list[ArtifactId]:
        """Return the ids of all files with this last path component, sorted."""
        ...


class Ingester(Protocol):
    """A module in ``toolchain/ingest``: these names at its top level.

    ``read`` is pure (cached by content); ``resolve`` answers from the other files' names.
    """

    KINDS: frozenset[Kind]

    def read(self, data: memoryview) -> Contents:
        """Return what the file holds.

        Errors:
            FormatError: the bytes are not of this kind; says at which offset.
        """
        ...

    def resolve(
        self,
        reference: Reference,
        source: ArtifactId,
        files: Neighbours,
        conditions: frozenset[str],
    ) -> list[ArtifactId] | None:
        """Return the files that ``reference`` may mean (several only for patterns), else [].

        None where the project says that it means nothing, so that none is missing.
        """
        ...


def refers_to_nothing(
    reference: Reference,  # noqa: ARG001 - the contract of all ingesters
    source: ArtifactId,  # noqa: ARG001 - as above
    files: Neighbours,  # noqa: ARG001 - as above
    conditions: frozenset[str],  # noqa: ARG001 - as above
) -> list[ArtifactId]:
    """Return nothing: the ``resolve`` of kinds whose files refer to no other file."""
    return []


Facts = Mapping[str, str]
