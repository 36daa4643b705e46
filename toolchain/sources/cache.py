"""The user's cache folder: downloads by their hash, and archives unpacked once.

    downloads/<hash>        a file as a registry sent it, checked before it got this name
    trees/<hash>/files/     the same, unpacked; its parent appears by one rename
    trees/<hash>/index.json every file's name, size, time and SHA-256: a warm open hashes nothing
    pins/<hash>.json        which file an exact address means, for use offline
    locks/                  so that two processes do not do the same work

A kill at any moment leaves names that start with a dot; the next user of the same key removes them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packageurl import PackageURL

from toolchain.errors import IntegrityError, UnavailableError
from toolchain.ir import Digest
from toolchain.resources import cache_folder
from toolchain.sources.base import Integrity, Pinned
from toolchain.sources.exclusive import exclusive
from toolchain.sources.tree import SourceFile
from toolchain.sources.unpack import unpack
from toolchain.units import Bytes

_FORMAT = 1  # of index.json; another number means: unpack again
_DISK_HINT = "free some disk space or set VTOOL_CACHE to a folder with room"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive, unpacked: its folder and the files in it by name."""

    folder: Path
    files: dict[str, SourceFile]

    def peeled(self) -> Unpacked:
        """Return what is in the only folder at the top; all of it where there are several."""
        tops = {name.partition("/")[0] for name in self.files}
        if len(tops) != 1 or tops & self.files.keys():
            return self
        top = tops.pop()
        return Unpacked(
            self.folder / top, {n.removeprefix(f"{top}/"): f for n, f in self.files.items()}
        )


def download(integrity: Integrity, fetch: Callable[[Path], None]) -> Path:
    """Return the cached file with this hash; ``fetch`` writes it where it is not there yet.

    Errors:
        UnavailableError: the disk is full or not writable.
        Whatever ``fetch`` raises; then nothing is kept.
    """
    path = cache_folder() / "downloads" / integrity.key
    if path.exists():
        return path
    with _disk(), exclusive(_lock(f"download-{integrity.key}")):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".part-{path.name}")
            try:
                fetch(part)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    return path


def unpacked(integrity: Integrity, archive: Callable[[], Path]) -> Unpacked:
    """Return the unpacked archive with this hash; ``archive`` gives its file where that is needed.

    A file that was changed, or is gone, makes it unpack again.

    Errors:
        InputError: the archive is hostile, truncated or damaged.
        IntegrityError: ``archive`` gave a file with another hash.
        UnavailableError: the disk is full or not writable.
    """
    home = cache_folder() / "trees" / integrity.key
    if found := warm(integrity):
        return found
    with _disk(), exclusive(_lock(f"tree-{integrity.key}")):
        if found := warm(integrity):
            return found
        staging, old = (home.with_name(f".{word}-{home.name}") for word in ("new", "old"))
        for path in (staging, old):
            if path.exists():
                shutil.rmtree(path)
        staging.mkdir(parents=True)
        try:
            _fill(staging, _checked(archive, integrity))
            if home.exists():
                home.rename(old)
            staging.rename(home)
        finally:
            for path in (staging, old):
                shutil.rmtree(path, ignore_errors=True)
    found = warm(integrity)
    if found is None:
        raise UnavailableError(
            f"the cache {cache_folder()} changes while it is used", hint=_DISK_HINT
        )
    return found


def remember(purl: PackageURL, pinned: Pinned) -> None:
    """Keep which file an exact address means."""
    path = _pin_path(purl)
    data = {"address": str(pinned.purl), "integrity": str(pinned.integrity), "file": pinned.file}
    with _disk():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{os.getpid()}-{path.name}")
        part.write_text(json.dumps(data), "utf-8")
        part.replace(path)


def recall(purl: PackageURL) -> Pinned | None:
    """Return what ``remember`` kept for this address, on this kind of machine."""
    try:
        data = json.loads(_pin_path(purl).read_text("utf-8"))
        address = PackageURL.from_string(data["address"])
        return Pinned(address, Integrity.parse(data["integrity"]), data["file"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or cut by a full disk: ask the registry


def _pin_path(purl: PackageURL) -> Path:
    # a wheel is chosen for an interpreter and platform, and users may share a cache
    words = f"{purl} {sys.implementation.cache_tag} {sysconfig.get_platform()}"
    return cache_folder() / "pins" / f"{hashlib.sha256(words.encode()).hexdigest()}.json"


def warm(integrity: Integrity) -> Unpacked | None:
    """Return the unpacked archive with this hash if it is there and nobody touched a file of it."""
    home = cache_folder() / "trees" / integrity.key
    try:
        index = json.loads((home / "index.json").read_bytes())
        if index["format"] != _FORMAT:
            return None
        files = {}
        root = str(home / "files") + os.sep
        for name, size, mtime_ns, digest in index["files"]:
            path = root + name
            now = os.stat(path)  # noqa: PTH116 - thousands of them: twice as fast as Path.stat
            if now.st_size != size or now.st_mtime_ns != mtime_ns:
                return None
            files[name] = SourceFile(Path(path), Digest(digest), Bytes(size))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Unpacked(home / "files", files)


def _fill(staging: Path, archive: Path) -> None:
    rows = []
    for name, file in sorted(unpack(archive, staging / "files").items()):
        rows.append([name, file.size, file.path.stat().st_mtime_ns, file.digest])
    text = json.dumps({"format": _FORMAT, "files": rows}, ensure_ascii=False)
    (staging / "index.json").write_text(text, "utf-8")


def _checked(archive: Callable[[], Path], integrity: Integrity) -> Path:
    path = archive()
    if integrity.holds_for(path):
        return path
    if path.parent != cache_folder() / "downloads":
        raise IntegrityError(f"{path.name} changed while it was read", hint="run the command again")
    path.unlink()  # somebody changed it after it was checked: a fresh one is checked, too
    return archive()


def _lock(name: str) -> Path:
    return cache_folder() / "locks" / name


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = os.strerror(error.errno) if error.errno else "it cannot be written"
        if error.errno == errno.EFBIG:
            words = "the file is too large for it"
        raise UnavailableError(
            f"cannot use the cache {cache_folder()}: {words}", hint=_DISK_HINT
        ) from error
