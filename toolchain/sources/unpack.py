"""Unpacks an archive into a new folder: nothing leaves it, nothing in it is a link or a device."""

from __future__ import annotations

import errno
import hashlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from toolchain.errors import InputError
from toolchain.ir import Digest
from toolchain.sources.members import MAX_MEMBERS, Member, Room, members
from toolchain.sources.tree import SourceFile
from toolchain.units import Bytes

_MAX_LINKS = 40  # in a chain, as Linux follows them
_CHUNK_BYTES = 1 << 20
# what a disk says when it, and not the name of a member, is the problem
_DISK_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)


def unpack(archive: Path, into: Path) -> dict[str, SourceFile]:
    """Unpack ``archive`` into the new folder ``into``; return the files by name.

    A link inside the archive becomes a copy of the file it points at; a link to a folder is left
    out, because the folder's files are there under their own names.

    Errors:
        InputError: a member that leaves the folder, is no file, or differs from another of the same
            name; too many members or bytes.
        FormatError: truncated or damaged, at the byte where that shows.
        OSError: the disk does not take it.
    """
    into.mkdir()
    work = _Unpacking(into, Room(archive, archive.stat().st_size))
    for count, member in enumerate(members(archive, work.room)):
        if count == MAX_MEMBERS:
            raise work.room.refusal(f"has more than {MAX_MEMBERS:,} members")
        work.add(member)
    work.follow_links()
    return work.files


@dataclass(frozen=True, slots=True)
class _Unpacking:
    into: Path
    room: Room
    files: dict[str, SourceFile] = field(default_factory=dict)
    links: dict[str, Member] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def add(self, member: Member) -> None:
        name = self._safe(member)
        if member.kind == "folder":
            self.folders.add(name)
        elif member.kind != "file":
            self.links[name] = member
        elif name in self.files:
            self._compare(self.files[name], member)
        else:
            self.files[name] = self._write(name, member, member.chunks())

    def follow_links(self) -> None:
        """Copy what links point at, now that everything else is there."""
        for name in (*self.files, *self.links):
            self.folders.update(_parents(name))
        for name, member in sorted(self.links.items()):
            target = self._target(name, member)
            if target in self.folders:
                continue
            if target not in self.files:
                raise self._refusal(member, "is a link to nothing in the archive")
            if name not in self.files:
                copy = self._copy(self.files[target].path)
                self.files[name] = self._write(name, member, copy)

    def _target(self, name: str, member: Member) -> str:
        target = name
        for _step in range(_MAX_LINKS):
            link = self.links.get(target)
            if link is None:
                return target
            start = posixpath.dirname(target) if link.kind == "symlink" else ""
            target = posixpath.normpath(posixpath.join(start, link.target))
            if target.startswith(("/", "../")) or target == "..":
                raise self._refusal(member, "is a link out of the archive")
        raise self._refusal(member, "is a link in a circle")

    def _safe(self, member: Member) -> str:
        """Return the member's normalized name, or refuse the archive."""
        windows = PureWindowsPath(member.name)  # knows both kinds of slash
        parts = [part for part in member.name.split("/") if part not in {"", "."}]
        if member.kind == "special":
            raise self._refusal(member, "is a device, a pipe or a sparse file")
        if windows.drive or windows.root or ".." in windows.parts:
            raise self._refusal(member, "would lie outside its folder")
        if "\0" in member.name or not _is_text(member.name):
            raise self._refusal(member, "has a name that is not text")
        if not parts and member.kind != "folder":
            raise self._refusal(member, "has no name")
        return "/".join(parts)

    def _write(self, name: str, member: Member, chunks: Iterator[bytes]) -> SourceFile:
        path = self.into / name
        hasher = hashlib.sha256()
        size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                for chunk in chunks:
                    hasher.update(chunk)
                    size += out.write(chunk)
            if member.is_executable:
                path.chmod(0o755)
        except OSError as error:
            if error.errno in _DISK_ERRORS:
                raise
            raise self._refusal(member, f"cannot be a file ({error.strerror})") from error
        return SourceFile(path, Digest(hasher.hexdigest()), Bytes(size))

    def _compare(self, known: SourceFile, member: Member) -> None:
        hasher = hashlib.sha256()
        for chunk in member.chunks():
            hasher.update(chunk)
        if hasher.hexdigest() != known.digest:
            raise self._refusal(member, "is there twice, with different contents")

    def _copy(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self.room.take(len(chunk))
                yield chunk

    def _refusal(self, member: Member, fact: str) -> InputError:
        return self.room.refusal(f"has a member {member.name[:200]!r} that {fact}")


def _parents(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
