"""Keeps what was made once in the cache: a folder that is there whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from toolchain.errors import UnavailableError


def made_once(home: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder ``home``; where it is not there, ``make`` fills it, given where.

    ``home`` is named by what is in it: of two processes that make it at once one is the first, and
    what the other made is thrown away.

    Errors:
        UnavailableError: it cannot be written.
        whatever ``make`` raises, but OSError
    """
    try:
        if not home.is_dir():
            home.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=home.parent, prefix=".new-") as folder:
                made = Path(folder) / "made"
                made.mkdir()
                make(made)
                _rename(made, home)
    except OSError as error:
        raise UnavailableError(
            f"the model cannot be written to the cache: {error.strerror}",
            hint="free 1 GB of disk space or set VTOOL_CACHE to a folder with room",
        ) from error
    return home


def _rename(made: Path, home: Path) -> None:
    try:
        made.rename(home)
    except OSError:
        if not home.is_dir():  # else another process was faster
            raise
