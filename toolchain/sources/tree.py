"""What a source yields: files by relative POSIX name, hashed, none of them held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import InputError
from toolchain.ir import Digest, digest_of
from toolchain.units import Bytes

_AT_ONCE = 64 * 1024  # ours: bytes; a buffer for large files costs more than hashing small ones


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file on disk that nobody changes while vtool runs."""

    path: Path
    digest: Digest
    size: Bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """Files by relative POSIX name, in sorted order."""

    files: Mapping[str, SourceFile]


def tree(files: Mapping[str, SourceFile]) -> Tree:
    """Return ``files`` as a tree, sorted by name."""
    return Tree(dict(sorted(files.items())))


def read(path: Path) -> SourceFile:
    """Hash the file at ``path``.

    Errors:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            data = file.read(_AT_ONCE)
            if len(data) < _AT_ONCE and not file.read(1):
                return SourceFile(path, digest_of(data), Bytes(len(data)))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return SourceFile(path, Digest(digest), Bytes(file.tell()))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="check that it exists and is readable"
        ) from error
