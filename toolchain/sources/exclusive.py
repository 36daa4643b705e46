"""Lets one process at a time do a piece of work, and frees the rest when that process dies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.errors import UnavailableError

_LIMIT_S = 1800.0  # as long as one download may take
_LOOK_S = 0.02

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def exclusive(path: Path, limit_s: float = _LIMIT_S) -> Iterator[None]:
    """Hold the lock file ``path``; the system releases it when the process ends, however it ends.

    Errors:
        UnavailableError: another process still holds it after ``limit_s`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + limit_s
    with path.open("ab") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"another process has been busy with {path.name} for {limit_s:g} s",
                    hint="end that process, or wait for it",
                )
            time.sleep(_LOOK_S)
        yield
