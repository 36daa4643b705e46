"""Keeps files and figures in the user's cache, by the digests of what they depend on."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from model_peers import catalogue
from model_peers.rows import Row

from toolchain.execution.cache import ActionCache, action_key
from toolchain.formats.compression import Codec, encode
from toolchain.ir import Digest
from toolchain.tables import check

T = TypeVar("T")

_MOST_OF_WORDS = 200  # of a tool, in the tables

QUALITIES = ((4_000_000, 11), (100_000_000, 9), (2**40, 5))
"""Of brotli, up to so many bytes: 11 takes 2.5 s a MB. Measured on hibari and on 8 MB of the Piper
voice, 11 gives 1.4 % and 1.0 % less than 9; on these and a language model 5 is within 0.3 %."""


@dataclass(frozen=True)
class Kept:
    """A folder with models by digest, and documents."""

    home: Path
    cache: ActionCache

    def file(self, digest: Digest) -> Path:
        """Return where the file with this digest is kept."""
        return self.home / f"{digest}.onnx"

    def store(self, path: Path) -> Digest:
        """Keep the file at ``path``, which is moved; return its digest."""
        with path.open("rb") as file:
            digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        path.replace(self.file(digest))
        return digest

    def known(self, key: Digest, kind: type[T]) -> T | None:
        """Return the document under ``key`` as a ``kind``, if there is one."""
        document = self.cache.get(key)
        return None if document is None else check(document, kind, where="a kept row")

    def keep(self, row: Row) -> None:
        """Keep a row as the last one of its model and tool."""
        before = self.last(row.model, row.tool)
        if before and before.made == row.made and not row.taken:
            row = replace(row, taken=before.taken)  # of a run without latencies
        self.cache.put(action_key("row", row.model, row.tool), row)

    def last(self, model: str, tool: str) -> Row | None:
        """Return the row of a model and a tool as it was last measured."""
        return self.known(action_key("row", model, tool), Row)

    def download(self, path: Path) -> int:
        """Return how many bytes a user downloads of the file at ``path``."""
        data = path.read_bytes()
        level = next(quality for most, quality in QUALITIES if len(data) <= most)
        key = action_key("download", hashlib.sha256(data).hexdigest(), level)
        known = self.cache.get(key)
        if known is None:
            known = len(encode(data, Codec.BROTLI, level))
            self.cache.put(key, known)
        return int(known)


def opened() -> Kept:
    """Return what the user's cache holds."""
    home = catalogue.home()
    return Kept(home, ActionCache(home / "rows"))


def digest(value: object) -> str:
    """Return a digest of anything JSON can say."""
    return action_key("digest", value)


def code_of(*modules: str) -> str:
    """Return a digest of the source of modules beside this one."""
    texts = [(Path(__file__).with_name(f"{name}.py")).read_text("utf-8") for name in modules]
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def private(words: str, folder: Path) -> str:
    """Return a tool's words without this machine's paths, shortened."""
    for path in (str(folder), str(folder.parent), str(Path.home()), sys.prefix):
        words = words.replace(path, "")
    _, load, rest = words.partition("Load model from ")
    return (rest.partition(" failed:")[2] if load else words)[:_MOST_OF_WORDS]
