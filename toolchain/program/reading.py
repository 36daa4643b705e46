"""Reads many modules, in several processes where that pays; nothing of their trees is kept.

A program grows while it is read: what a module loads is known when it was read. So the modules
that wait are a queue, of which workers take batches, and to which the reader adds.
"""

from __future__ import annotations

import copyreg
import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from operator import attrgetter

from toolchain.execution.local import LocalPool
from toolchain.formats.javascript import MENTIONS, Mention, mentions_of
from toolchain.formats.javascript_tree import captures, read_tree
from toolchain.formats.jsx_comments import JsxComments
from toolchain.ir import Digest, Store
from toolchain.program.module import Clause, Export, Import, Item, Load, ModuleText, Star
from toolchain.program.name_query import QUERIES
from toolchain.program.reader import read_captured

_BATCH_BYTES = 128 * 1024  # ours: some 50 ms of work
# What has to wait before processes are started. Measured with benchmarks/program_speed.py's plain
# modules, two cores: 0.8 MB take 0.6 s here and 0.8 s in workers, most of it their start.
POOL_BYTES = 1024 * 1024
POOL = LocalPool(preload=("toolchain.program.reading",))

_BOTH = {dialect: QUERIES[dialect] + MENTIONS[dialect] for dialect in QUERIES}


@dataclass(frozen=True, slots=True)
class Summary:
    """What the text of one module tells; a few kB, whatever its size."""

    text: ModuleText
    mentions: tuple[Mention, ...]


def read_summary(data: bytes) -> Summary:
    """Read a module: it is parsed once, and one query finds names and mentions."""
    tree = read_tree(data)
    found = captures(tree, MENTIONS if tree.problem else _BOTH)
    return Summary(read_captured(tree, found), mentions_of(found))


@dataclass
class Unread:
    """Modules that wait to be read, by the digests of their bytes; the first is read first."""

    store: Store
    batches: dict[int, list[Digest]] = field(default_factory=dict)  # those that are being read
    size: int = 0  # bytes of all that wait
    _queue: deque[tuple[Digest, int]] = field(default_factory=deque)
    _taken: int = 0

    def add(self, digest: Digest, size: int) -> None:
        """Add a module of ``size`` bytes."""
        self._queue.append((digest, size))
        self.size += size

    def __len__(self) -> int:
        return len(self._queue)

    def take(self) -> Digest:
        """Take one module away."""
        digest, size = self._queue.popleft()
        self.size -= size
        return digest

    def pop(self) -> list[bytes]:
        """Take a batch away, and return the text of its modules."""
        batch: list[Digest] = []
        before = self.size
        while self._queue and before - self.size < _BATCH_BYTES:
            batch.append(self.take())
        self.batches[self._taken] = batch
        self._taken += 1
        return [self.store.get(digest) for digest in batch]


def summaries(unread: Unread, pool: LocalPool | None) -> Iterator[tuple[Digest, Summary]]:
    """Yield a summary for each of ``unread``, to which may be added meanwhile; in any order.

    Without a ``pool``, and as long as few wait, they are read in this process.

    Errors:
        ToolError: a worker died.
    """
    while unread and (pool is None or unread.size < POOL_BYTES):
        digest = unread.take()
        yield digest, read_summary(unread.store.get(digest))
    if pool is None:
        return
    for outcome in pool.drain(_read_batch, unread):
        yield from zip(unread.batches.pop(outcome.index), outcome.get(), strict=True)


def _read_batch(batch: list[bytes]) -> list[Summary]:
    with not_collecting():
        return [read_summary(data) for data in batch]


@contextmanager
def not_collecting() -> Iterator[None]:
    """Leave circles of garbage alone: looking for them takes a third of the time, and none is made.

    A collector would look at all that was read so far, again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _pickle_by_values(kind: type) -> None:
    """Let a dataclass be pickled by the values of its fields: a third of the time."""
    values = attrgetter(*(one.name for one in fields(kind)))
    copyreg.pickle(kind, lambda value: (kind, values(value)))


for _kind in (Item, Load, Clause, Import, Export, Star, ModuleText, JsxComments, Mention, Summary):
    _pickle_by_values(_kind)
