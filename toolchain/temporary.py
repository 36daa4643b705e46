"""Folders for temporary files that are gone when vtool ends, also where a signal ends it."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPEN: set[Path] = set()
"""What is there now, or is about to be: a signal may come between any two steps."""


@contextmanager
def temporary_folder(prefix: str = "vtool-") -> Iterator[str]:
    """Yield the path of a new private folder that is gone when the block ends.

    Unlike ``tempfile.TemporaryDirectory``, whose folder stays where Ctrl-C falls into its making or
    its removal: what is left here ``remove_all`` finds.
    """
    folder = Path(tempfile.gettempdir()) / f"{prefix}{secrets.token_hex(8)}"
    _OPEN.add(folder)
    try:
        folder.mkdir(mode=0o700)
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _OPEN.discard(folder)


def remove_all() -> None:
    """Remove the folders of this process that are still there: it is about to end.

    Also that of multiprocessing, for sockets: it goes with the interpreter, which a signal ends
    without its usual way out.
    """
    for folder in list(_OPEN):
        shutil.rmtree(folder, ignore_errors=True)
    if multiprocessing := sys.modules.get("multiprocessing.util"):
        multiprocessing._run_finalizers()  # noqa: SLF001 - its public door is the exit of Python
