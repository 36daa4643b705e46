"""What a source is: a module in this folder named like its scheme (``npm.py`` opens ``npm:...``).

A *registry* (``npm``, ``pypi``, a foreign scheme) pins an address to one file with an integrity and
fetches that file; a *local* source (``directory``, ``archive``, ``file``) opens a path.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packageurl import PackageURL

from toolchain.errors import ConfigError
from toolchain.sources.tree import Tree
from toolchain.units import Bytes

# strongest first; sha1 only because a few old npm packages were never given anything better
ALGORITHMS = ("sha512", "sha384", "sha256", "sha1")
_BYTES = {name: hashlib.new(name, usedforsecurity=False).digest_size for name in ALGORITHMS}


@dataclass(frozen=True, slots=True)
class Integrity:
    """A file's promised hash: ``sha512-<base64>`` as npm writes it, ``sha256:<hex>`` as pip."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Integrity:
        """Read an integrity; of several in one text the strongest counts.

        Errors:
            ConfigError: no hash in it that vtool can check.

        >>> str(Integrity.parse("sha1-" + "A" * 27 + "= sha256:" + "0" * 64))[:12]
        'sha256:00000'
        """
        found = [one for word in text.split() if (one := _hash(word))]
        if not found:
            raise ConfigError(
                f"{text[:100]!r} is not an integrity",
                hint="written sha512-<base64> or sha256:<hexadecimal>",
            )
        return min(found, key=lambda one: ALGORITHMS.index(one.algorithm))

    @property
    def key(self) -> str:
        """A file name that stands for the content."""
        return f"{self.algorithm}-{self.digest.hex()}"

    def holds_for(self, path: Path) -> bool:
        """Return whether the file at ``path`` has this hash."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).digest() == self.digest

    def __str__(self) -> str:
        if self.algorithm == "sha256":
            return f"sha256:{self.digest.hex()}"
        return f"{self.algorithm}-{base64.b64encode(self.digest).decode()}"


def _hash(word: str) -> Integrity | None:
    algorithm, colon, value = word.partition(":") if ":" in word else word.partition("-")
    if algorithm not in ALGORITHMS:
        return None
    try:
        digest = bytes.fromhex(value) if colon == ":" else base64.b64decode(value.split("?")[0])
    except (ValueError, binascii.Error):
        return None
    return Integrity(algorithm, digest) if len(digest) == _BYTES[algorithm] else None


@dataclass(frozen=True, slots=True)
class Pinned:
    """One file of a registry, known down to its last byte."""

    purl: PackageURL
    integrity: Integrity
    file: str = ""  # where a version has several files (wheels), the one that is meant


class Registry(Protocol):
    """The names at the top level of a registry's module."""

    TITLE: str  # what errors call it; never an address
    IS_PEELED: bool  # its archives hold everything in one folder that is no part of the names

    def pin(self, purl: PackageURL) -> Pinned:
        """Return the file of this exact version.

        Errors:
            ConfigError: no such package or version.
            UnavailableError: the registry does not answer.
        """
        ...

    def newest(self, purl: PackageURL) -> str | None:
        """Return the newest version of the package; None where nobody knows it."""
        ...

    def fetch(self, pinned: Pinned, into: Path, tell: Callable[[Bytes, Bytes], None]) -> None:
        """Download the file to ``into``, whole and with the promised hash, or raise.

        ``tell`` is told how many bytes are there, of how many (0: unknown).

        Errors:
            IntegrityError: the registry sent another file.
            UnavailableError: the registry does not answer.
        """
        ...


class Local(Protocol):
    """The name at the top level of a local source's module."""

    def open_tree(self, path: Path) -> Tree:
        """Return the files at ``path``.

        Errors:
            InputError: there is nothing there, or it is broken.
        """
        ...
