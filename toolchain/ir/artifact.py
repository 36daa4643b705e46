"""What the graph is made of: files, their parts, and what connects them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from toolchain.ir.store import Digest
from toolchain.units import Bytes

ArtifactId = NewType("ArtifactId", str)
"""A file's POSIX path in the project (``node_modules/a/x.js``); a part is ``file#kind/name``;
a member of an archive is ``file.zip!/member``; ``external:name`` is a peer nobody shipped and
``unknown:where`` a target that is only known at run time."""


class Kind(StrEnum):
    """What an artifact is: kinds of files first, then kinds of parts, then what is not there."""

    JS = "js"
    TS = "ts"
    JSON = "json"
    CSS = "css"
    HTML = "html"
    SOURCEMAP = "sourcemap"
    WASM = "wasm"
    ELF = "elf"
    MACHO = "macho"
    PE = "pe"
    ONNX = "onnx"
    ORT = "ort"
    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    PACKAGE = "package"  # a model as it travels: codes, not weights
    AUDIO = "audio"
    ARCHIVE = "archive"
    COMPRESSED = "compressed"
    TEXT = "text"
    DATA = "data"

    SECTION = "section"
    FUNCTION = "function"
    TENSOR = "tensor"
    HEADER = "header"
    ENTRY = "entry"
    OTHER = "other"

    EXTERNAL = "external"
    UNKNOWN = "unknown"


PART_KINDS = frozenset(
    {Kind.SECTION, Kind.FUNCTION, Kind.TENSOR, Kind.HEADER, Kind.ENTRY, Kind.OTHER}
)
ABSENT_KINDS = frozenset({Kind.EXTERNAL, Kind.UNKNOWN})
FILE_KINDS = frozenset(Kind) - PART_KINDS - ABSENT_KINDS


class Relation(StrEnum):
    """How one artifact needs another."""

    IMPORT = "import"  # loaded before the source runs
    LAZY = "lazy"  # loaded when the source asks: import()
    WORKER = "worker"  # started as a worker or worklet
    FETCH = "fetch"  # read at run time by a path that is known: wasm, models, data
    STYLE = "style"  # a page that loads the source must load this style sheet: nothing else does
    LINK = "link"  # a native library's needed library
    CONTAINS = "contains"  # a file and its parts
    UNPACKS = "unpacks"  # an archive and the files in it
    ENCODES = "encodes"  # x.js.br and x.js: the same bytes, compressed for transfer
    DELTA = "delta"  # x.js.HASH.dcz and x.js: the same bytes, for who has its last release
    MAPS = "maps"  # x.js.map and x.js: where each place of it came from; never shipped
    DYNAMIC = "dynamic"  # the target cannot be known statically


SIBLINGS = frozenset({Relation.ENCODES, Relation.DELTA, Relation.MAPS})
"""From another form of a file, or what is beside it, to the file: with one goes the other."""

OWNERSHIP = frozenset({Relation.CONTAINS, Relation.UNPACKS}) | SIBLINGS


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file or one part of a file; its bytes live in the store under ``digest``.

    ``facts`` are a part's: type, shape and readers of a tensor. Those of a file are with its row.
    """

    id: ArtifactId
    kind: Kind
    digest: Digest
    size: Bytes
    facts: tuple[tuple[str, str], ...] = field(default=(), compare=False)  # as the bytes say


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """``source`` needs ``target`` in the way of ``relation``."""

    source: ArtifactId
    target: ArtifactId
    relation: Relation


def part_id(owner: ArtifactId, kind: Kind, name: str) -> ArtifactId:
    """Return the id of a part.

    >>> part_id(ArtifactId("a.wasm"), Kind.SECTION, "code")
    'a.wasm#section/code'
    """
    return ArtifactId(f"{owner}#{kind}/{name}")
