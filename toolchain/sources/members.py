"""Reads the members of a tar or zip file one after the other, and stops at bombs and damage."""

from __future__ import annotations

import errno
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from toolchain.errors import FormatError, InputError
from toolchain.units import show_bytes

MAX_MEMBERS = 200_000  # ours: ten times the largest npm package we know (20,000 icons)
MAX_BYTES = 8 << 30  # ours: eighty times the largest model of the reference application
MAX_RATIO = 200  # ours: real text packs up to 50-fold; DEFLATE can do 1032-fold
FREE_BYTES = 64 << 20  # ours: what harms nobody, whatever its ratio
_HEADER_MAX_BYTES = 1 << 20  # ours: of a tar's extended header; paths have 4096 bytes at most
_CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 512  # of a tar

Kind = Literal["file", "folder", "symlink", "hardlink", "special"]


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive; ``chunks`` reads its bytes, once, before the next member."""

    name: str
    kind: Kind
    target: str  # of a link
    is_executable: bool
    chunks: Callable[[], Iterator[bytes]]


@dataclass(slots=True)
class Room:
    """How much an archive may still unfold."""

    archive: Path
    packed_bytes: int
    taken_bytes: int = 0

    def take(self, count: int) -> None:
        """Use up ``count`` bytes.

        Errors:
            InputError: the archive is a bomb.
        """
        self.taken_bytes += count
        if self.taken_bytes > MAX_BYTES:
            raise self.refusal(f"unpacks to more than {show_bytes(MAX_BYTES)}")
        if self.taken_bytes > max(FREE_BYTES, MAX_RATIO * self.packed_bytes):
            raise self.refusal(f"unpacks to more than {MAX_RATIO} times its size")

    def refusal(self, fact: str) -> InputError:
        """Return the error that says ``fact`` of the archive."""
        return InputError(
            f"{self.archive.name} {fact}",
            hint="vtool refuses it as hostile; repack it if it is yours",
        )


def members(archive: Path, room: Room) -> Iterator[Member]:
    """Yield the members of ``archive`` in its own order.

    Errors:
        FormatError: no archive, truncated or damaged, at the byte where that shows.
        InputError: a bomb, or encrypted.
    """
    with archive.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if not magic:
            raise FormatError(f"{archive.name} is empty", 0, hint="fetch it again")
        if magic.startswith(b"PK"):
            yield from _zip(raw, room)
        elif magic.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=raw) as unzipped:
                yield from _tar(raw, unzipped, room)
        else:
            yield from _tar(raw, raw, room)


@contextmanager
def _damage(raw: IO[bytes], room: Room) -> Iterator[None]:
    """Turn what the standard library raises on damaged archives into one error with a place."""
    try:
        yield
    except (
        EOFError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        ValueError,
        gzip.BadGzipFile,
        lzma.LZMAError,
        struct.error,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _damaged(raw, room, error) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to before the start
            raise
        raise _damaged(raw, room, error) from error


def _damaged(raw: IO[bytes], room: Room, error: Exception) -> FormatError:
    what = str(error) or "it ends too early"
    return FormatError(
        f"{room.archive.name} is truncated or damaged: {what}",
        raw.tell(),
        hint="fetch or create the archive again",
    )


class _Forward:
    """A stream for ``tarfile`` that only goes forward and takes its bytes from a ``Room``."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, room: Room) -> None:
        self._stream = stream
        self._room = room
        self._at = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if size > _HEADER_MAX_BYTES:
            raise self._room.refusal(f"has a header of {show_bytes(size)}")
        self.last = self._stream.read(size)
        self._at += len(self.last)
        self._room.take(len(self.last))
        return self.last

    def seek(self, to: int) -> None:
        while self._at < to and self.read(min(_CHUNK_BYTES, to - self._at)):
            pass
        if self._at != to:
            raise EOFError

    def tell(self) -> int:
        return self._at


def _tar(raw: IO[bytes], stream: IO[bytes] | gzip.GzipFile, room: Room) -> Iterator[Member]:
    forward = _Forward(stream, room)
    with _damage(raw, room):
        # tarfile asks for no more of a file object than read, seek and tell
        archive = tarfile.TarFile(fileobj=forward)  # type: ignore[arg-type]
    while True:
        with _damage(raw, room):
            info = archive.next()
        if info is None:
            break
        # it keeps every member otherwise: memory, for a bomb by count
        archive.members.clear()  # type: ignore[attr-defined]  # public in CPython, not in typeshed
        yield _tar_member(archive, info, raw, room)
    with _damage(raw, room):
        # tarfile takes a broken header for the end; the real end is a block of zeros
        if forward.last != bytes(_BLOCK_BYTES):
            raise EOFError("no end mark")
        while forward.read(_CHUNK_BYTES):  # to the end, where gzip keeps its checksum
            pass


def _tar_member(
    archive: tarfile.TarFile, info: tarfile.TarInfo, raw: IO[bytes], room: Room
) -> Member:
    def chunks() -> Iterator[bytes]:
        with _damage(raw, room):
            file = archive.extractfile(info)
            left = info.size
            while file is not None and left:
                chunk = file.read(min(_CHUNK_BYTES, left))
                if not chunk:
                    raise EOFError
                left -= len(chunk)
                yield chunk

    return Member(info.name, _tar_kind(info), info.linkname, bool(info.mode & 0o111), chunks)


def _tar_kind(info: tarfile.TarInfo) -> Kind:
    if info.issparse() or not (info.isfile() or info.isdir() or info.islnk() or info.issym()):
        return "special"
    if info.issym():
        return "symlink"
    return "hardlink" if info.islnk() else "folder" if info.isdir() else "file"


def _zip(raw: IO[bytes], room: Room) -> Iterator[Member]:
    with _damage(raw, room):
        archive = zipfile.ZipFile(raw)
    for info in archive.infolist():
        if info.flag_bits & 1:
            raise room.refusal(f"is encrypted ({info.filename!r})")
        yield _zip_member(archive, info, raw, room)


def _zip_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, raw: IO[bytes], room: Room
) -> Member:
    def chunks() -> Iterator[bytes]:
        with _damage(raw, room), archive.open(info) as file:
            while chunk := file.read(_CHUNK_BYTES):
                room.take(len(chunk))
                yield chunk

    mode = info.external_attr >> 16
    kind = _zip_kind(info, mode)
    target = b"".join(chunks()).decode("utf-8", "surrogateescape") if kind == "symlink" else ""
    return Member(info.filename, kind, target, bool(mode & 0o111), chunks)


def _zip_kind(info: zipfile.ZipInfo, mode: int) -> Kind:
    if info.is_dir():
        return "folder"
    if stat.S_ISLNK(mode):
        return "symlink"
    return "file" if stat.S_IFMT(mode) in {0, stat.S_IFREG} else "special"
