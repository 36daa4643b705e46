"""The code of a project as a private folder on disk, for tools that want files; gone afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from toolchain.errors import InputError, UnavailableError
from toolchain.ir import Artifact, DirectoryStore, Kind, Store
from toolchain.temporary import temporary_folder

CODE_KINDS = frozenset({Kind.JS, Kind.TS, Kind.JSON, Kind.CSS})
"""What a bundler reads; wasm, models and data stay where they are."""


@contextmanager
def code_folder(artifacts: Iterable[Artifact], store: Store) -> Iterator[Path]:
    """Lay out those of ``artifacts`` that are code, under their own paths, in a new folder.

    Files of a store on disk are linked, not copied, so a tool must not write into the folder.

    Errors:
        InputError: an id is no relative path, so that it would leave the folder.
        UnavailableError: the folder cannot be written.
    """
    with temporary_folder(prefix="vtool-code-") as name:
        folder = Path(name).resolve()
        for artifact in artifacts:
            if artifact.kind not in CODE_KINDS:
                continue
            parts = PurePosixPath(artifact.id).parts
            if ".." in parts or artifact.id.startswith("/"):
                raise InputError(f"{artifact.id} lies outside the project")
            try:
                _place(folder / artifact.id, artifact, store)
            except OSError as error:
                raise UnavailableError(
                    f"cannot lay out {artifact.id} for the bundler: {error.strerror}",
                    hint="free some space in the folder for temporary files",
                ) from error
        yield folder


def _place(path: Path, artifact: Artifact, store: Store) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(store, DirectoryStore):
        path.symlink_to(store.path(artifact.digest).resolve())
    else:
        path.write_bytes(store.get(artifact.digest))
