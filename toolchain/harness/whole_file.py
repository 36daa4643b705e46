"""Writes a file whole or not at all: another run may read the same one now."""

from __future__ import annotations

import os
from pathlib import Path

from toolchain.errors import UnavailableError


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, which appears when it is whole.

    Errors:
        UnavailableError: the disk does not take it.
    """
    new = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        try:
            new.write_bytes(data)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be written: {error.strerror}", hint="is there room on the disk?"
        ) from error
