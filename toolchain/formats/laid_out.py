"""A program as files in a folder where it can be run: code copied, large files linked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolchain.errors import InputError, UnavailableError


def lay_out(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write or link ``files`` (by POSIX path) below ``folder``.

    Code must be given as bytes: node takes the place that a link leads to for a module's address.

    Errors:
        InputError: a path leads out of the folder.
        UnavailableError: the folder cannot be written.
    """
    for name, content in files.items():
        path = folder / name
        if ".." in Path(name).parts or name.startswith("/"):
            raise InputError(f"{name} lies outside the project")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.symlink_to(content.resolve())
        except OSError as error:
            raise UnavailableError(
                f"cannot lay out {name} to be run: {error.strerror}",
                hint="free some space in the folder for temporary files",
            ) from error
