"""Where bytes live: a content-addressed store, in memory or in a folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NewType, Protocol

from toolchain.errors import UnavailableError

Digest = NewType("Digest", str)  # lower-case hexadecimal SHA-256


def digest_of(data: bytes | memoryview) -> Digest:
    """Return the SHA-256 of ``data`` in lower-case hexadecimal.

    >>> digest_of(b"")[:8]
    'e3b0c442'
    """
    return Digest(hashlib.sha256(data).hexdigest())


class Store(Protocol):
    """Bytes by their digest; putting the same bytes twice stores them once."""

    def put(self, data: bytes) -> Digest:
        """Keep ``data`` and return its digest."""
        ...

    def get(self, digest: Digest) -> bytes:
        """Return the bytes under ``digest``; ``KeyError`` if they were never put."""
        ...

    def __contains__(self, digest: object) -> bool: ...


@dataclass(frozen=True)
class MemoryStore:
    """A store for tests and small graphs."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> Digest:
        """Keep ``data``."""
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes under ``digest``."""
        return self.blobs[digest]

    def __contains__(self, digest: object) -> bool:
        return digest in self.blobs


@dataclass(frozen=True)
class DirectoryStore:
    """A store in a folder, shared by processes; large input files are adopted where they lie.

    A blob appears by atomic rename, so a reader sees all of it or nothing.
    """

    root: Path
    adopted: dict[Digest, Path] = field(default_factory=dict)

    def put(self, data: bytes) -> Digest:
        """Write ``data`` unless it is there."""
        digest = digest_of(data)
        path = self._own(digest)
        if digest in self.adopted or path.exists():
            return digest
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".put-")
            try:
                with os.fdopen(handle, "wb") as out:
                    out.write(data)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UnavailableError(
                f"cannot write {len(data)} bytes to the cache {self.root}: {error.strerror}",
                hint="free some disk space or set VTOOL_CACHE to a folder with room",
            ) from error
        return digest

    def adopt(self, path: Path, digest: Digest) -> None:
        """Serve ``digest`` from ``path``, a file that nobody changes, without copying it."""
        self.adopted[digest] = path

    def path(self, digest: Digest) -> Path:
        """Return the file that holds ``digest``; ``KeyError`` if there is none."""
        path = self.adopted.get(digest) or self._own(digest)
        if not path.exists():
            raise KeyError(digest)
        return path

    def get(self, digest: Digest) -> bytes:
        """Return the bytes under ``digest``."""
        path = self.adopted.get(digest) or self._own(digest)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise KeyError(digest) from error

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and (
            digest in self.adopted or self._own(Digest(digest)).exists()
        )

    def _own(self, digest: Digest) -> Path:
        return self.root / digest[:2] / digest[2:]
