"""How much memory this process takes, and how a file is dropped from the page cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_PAGE_BYTES = 4096  # the least page size of the systems we know; only used to probe


def resident() -> int:
    """Return the bytes of this process, and of those it has started, that are in memory now."""
    return sum(_resident(one) for one in _family())


@dataclass(frozen=True, slots=True)
class Footprint:
    """The bytes of this process and of those it has started; None where the system does not say."""

    resident: int  # in memory now; what processes share counts in each
    unique: int | None  # in memory for this process alone: what would be free if it ended (USS)
    proportional: int | None  # shared pages divided by how many processes share them (PSS)
    anonymous: int | None  # in no file: heaps, stacks, computed weights

    @property
    def of_files(self) -> int | None:
        """Pages of files: libraries and mapped weights. The system may drop them and read them."""
        return None if self.anonymous is None else self.resident - self.anonymous


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of the process, and of those it has started."""

    start: int  # interpreter and libraries, before the first model
    stages: Mapping[str, int]  # added by opening each stage; at once where each has a process
    peak: int | None
    before_gc: int  # at the end
    after_gc: Footprint  # after collection


def footprint() -> Footprint:
    """Return what is in memory now.

    Cost: the system walks all pages: 10 ms for 400 MB.

    Source: psutil's ``memory_full_info`` (USS, PSS); ``Anonymous`` of ``/proc/PID/smaps_rollup``,
    see proc_pid_smaps(5).
    """
    family = _family()
    seen = [_full(one) for one in family]
    return Footprint(
        sum(_resident(one) for one in family),
        _sum(getattr(info, "uss", None) for info in seen),
        _sum(getattr(info, "pss", None) for info in seen),
        _sum(_anonymous(one) for one in family),
    )


def _sum(parts: Iterable[int | None]) -> int | None:
    every = list(parts)
    known = [part for part in every if part is not None]
    return sum(known) if len(known) == len(every) else None


def _full(process: psutil.Process) -> object:
    try:
        return process.memory_full_info()
    except psutil.Error:  # it has ended, or belongs to somebody else
        return None


def _anonymous(process: psutil.Process) -> int | None:
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("Anonymous:")]
    return int(found[0]) * 1024 if found else None


def peak() -> int | None:
    """Return the most bytes that were ever in memory; None where nobody knows.

    Linux's VmHWM, Windows' peak working set. Not ``ru_maxrss``: a child inherits its parent's. With
    more processes the sum of their peaks, which need not have been at the same time.
    """
    peaks = [_peak(one) for one in _family()]
    return None if None in peaks else sum(p for p in peaks if p is not None)


def started() -> tuple[int, ...]:
    """Return the ids of the processes that this one has started and that still run."""
    return tuple(one.pid for one in _family()[1:])


def _family() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *(one for one in this.children(recursive=True) if _runs(one))]


def _runs(process: psutil.Process) -> bool:
    """Whether a child has not ended: one that nobody has waited for is listed, and has no pages."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _peak(process: psutil.Process) -> int | None:
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
    except OSError:
        return _peak_elsewhere(process)
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def _peak_elsewhere(process: psutil.Process) -> int | None:
    try:
        found = getattr(process.memory_info(), "peak_wset", None)
    except psutil.NoSuchProcess:  # it ended while we looked, and what it had is not known
        return 0
    return None if found is None else int(found)


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
