"""How much memory this process takes, and how a file is dropped from the page cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

_PAGE_BYTES = 4096  # the least page size of the systems we know; only used to probe


def resident() -> int:
    """Return the bytes of this process that are in memory now."""
    return int(psutil.Process().memory_info().rss)


def peak() -> int | None:
    """Return the most bytes of this process that were ever in memory; None where nobody knows.

    Linux's VmHWM, Windows' peak working set. Not ``ru_maxrss``: a child inherits its parent's.
    """
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        found = getattr(psutil.Process().memory_info(), "peak_wset", None)
        return None if found is None else int(found)
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def drop_from_page_cache(paths: Iterable[Path]) -> bool:
    """Ask the system to forget the files' pages; return whether it did.

    ``posix_fadvise(DONTNEED)`` is advice: it fails on memory file systems and for pages that
    somebody has mapped. So the first, middle and last page is read without waiting for the disk
    (``RWF_NOWAIT``), which fails when the page is gone.
    """
    if not (hasattr(os, "posix_fadvise") and hasattr(os, "RWF_NOWAIT")):
        return False
    return all([_drop(path) for path in paths])  # noqa: C419 - all of them, also after a failure


def _drop(path: Path) -> bool:
    handle = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        with contextlib.suppress(OSError):  # a read-only file system has nothing to write back
            os.fsync(handle)  # only clean pages can be dropped
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        places = (0, size // 2, max(0, size - _PAGE_BYTES))
        gone = not any([_is_cached(handle, at) for at in places])  # noqa: C419 - ask for all
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)  # asking starts a read-ahead
        return gone
    finally:
        os.close(handle)


def _is_cached(handle: int, at: int) -> bool:
    try:
        return os.preadv(handle, [bytearray(1)], at, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError:  # the file system cannot tell: nothing is claimed
        return True
