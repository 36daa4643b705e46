"""Zip and tar files as byte ranges: which member owns which bytes. Unpacks nothing."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from toolchain.errors import FormatError
from toolchain.units import Bytes

MAX_ENTRIES = 200_000  # ours: as many as vtool unpacks
_LOCAL = struct.Struct(
    "<4s22xHH"
)  # signature, length of name, length of extra field (APPNOTE 4.3.7)
_HAS_DESCRIPTOR = 1 << 3  # the sizes follow the data (APPNOTE 4.4.4)
_BLOCK_BYTES = 512  # of a tar: POSIX.1-1988
# what the standard library raises on damaged files; RuntimeError: headers nested without end
_DAMAGE = (
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One member and the bytes of the archive that are there because of it, header included."""

    name: str
    offset: int
    packed_bytes: Bytes
    size_bytes: Bytes  # unpacked


def members(data: bytes | memoryview) -> tuple[ArchiveEntry, ...]:
    """Return the members of a zip or tar file by offset; they never overlap.

    A compressed tar is one stream in which no byte belongs to one member: it is one entry without
    a name, whose unpacked size is what the stream says of itself.

    Errors:
        FormatError: neither zip, tar nor gzip; cut short; members that overlap; more than
            ``MAX_ENTRIES`` of them.
    """
    view = memoryview(data)
    head = bytes(view[:2])
    if head == b"PK":
        return tuple(_zip(view))
    if head == b"\x1f\x8b":
        return (_gzip(view),)
    return tuple(_tar(view))


def _gzip(view: memoryview) -> ArchiveEntry:
    if len(view) < 18:  # noqa: PLR2004 - header 10, empty stream at least 0, trailer 8: RFC 1952
        raise FormatError("gzip stream ends in its header", len(view))
    size = int.from_bytes(view[-4:], "little")
    return ArchiveEntry("", 0, Bytes(len(view)), Bytes(size))


def _zip(view: memoryview) -> Iterator[ArchiveEntry]:
    try:
        archive = zipfile.ZipFile(_Window(view))
    except _DAMAGE as error:
        raise FormatError(f"zip file is cut short or damaged ({error})", len(view)) from error
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    if len(infos) > MAX_ENTRIES:
        raise FormatError(f"zip file has more than {MAX_ENTRIES:,} members", archive.start_dir)
    ends = [*(info.header_offset for info in infos), archive.start_dir][1:]
    for info, limit in zip(infos, ends, strict=True):
        end = _end_of_data(view, info)
        if end > limit:
            raise FormatError(f"member {info.filename!r} overlaps what follows", limit)
        if info.flag_bits & _HAS_DESCRIPTOR:
            end = limit  # 12 to 24 bytes, which nothing else can own
        at = info.header_offset
        yield ArchiveEntry(info.filename, at, Bytes(end - at), Bytes(info.file_size))


def _end_of_data(view: memoryview, info: zipfile.ZipInfo) -> int:
    at = info.header_offset
    if at < 0 or at + _LOCAL.size > len(view):
        raise FormatError(f"member {info.filename!r} lies outside the file", max(at, 0))
    magic, name_bytes, extra_bytes = _LOCAL.unpack_from(view, at)
    if magic != b"PK\3\4":
        raise FormatError(f"member {info.filename!r} has no local header", at)
    return at + _LOCAL.size + int(name_bytes) + int(extra_bytes) + info.compress_size


def _tar(view: memoryview) -> Iterator[ArchiveEntry]:
    window = _Window(view)
    at = count = 0
    try:
        archive = tarfile.TarFile(fileobj=window)
        while (info := archive.next()) is not None:
            end = info.offset_data + -(-_stored(info) // _BLOCK_BYTES) * _BLOCK_BYTES
            count += 1
            if end > len(view) or info.size < 0 or count > MAX_ENTRIES:
                raise FormatError("tar file has a member beyond its end, or too many", at)
            yield ArchiveEntry(info.name, at, Bytes(end - at), Bytes(info.size))
            at = end
            archive.members.clear()  # type: ignore[attr-defined]  # in CPython, not in typeshed
    except _DAMAGE as error:
        raise FormatError(f"tar file is cut short or damaged ({error})", at) from error
    if view[at : at + _BLOCK_BYTES] != bytes(_BLOCK_BYTES):
        raise FormatError("tar file has no end mark", at)


def _stored(info: tarfile.TarInfo) -> int:
    """Return how many bytes follow the header; links and folders may state a size and have none."""
    if info.issparse():
        raise FormatError("sparse member: its bytes are not where its header says", info.offset)
    return info.size if info.isreg() or info.type not in tarfile.SUPPORTED_TYPES else 0


class _Window(io.RawIOBase):
    """A file over a memoryview, without a copy of it."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = len(self._view) if size < 0 else self._at + size
        found = bytes(self._view[self._at : end])
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._at, len(self._view))[whence]
        self._at = start + offset
        if self._at < 0:
            raise OSError("negative seek")  # as files do; zipfile counts on it
        return self._at

    def tell(self) -> int:
        return self._at
