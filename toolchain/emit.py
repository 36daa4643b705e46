"""Writes the result: everything into a staging folder first, then one atomic exchange."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from toolchain.errors import ConfigError, InputError, PassError, UnavailableError
from toolchain.http_headers import HEADERS, headers
from toolchain.ir import ArtifactId, Digest, DirectoryStore, Graph, Relation
from toolchain.ir.artifact import SIBLINGS
from toolchain.tables import dump

MANIFEST = "vtool-manifest.json"
MAPS = "source-maps"
RESERVED = frozenset({MANIFEST, HEADERS, MAPS, "report.html", "report.json", "answers"})
"""What a result holds besides the application: at the top of the output folder."""
_MANIFEST_VERSION = 1
_STAGING = ".vtool-staging-"
_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100  # fcntl.h


def check_output(out: Path, project: Path | None) -> None:
    """Refuse an output folder that would overwrite something that vtool did not write.

    Errors:
        ConfigError: ``out`` is a file, lies inside the input (or the input in it), or holds
        anything but an earlier result of vtool.
    """
    here = out.resolve()
    if project is not None:
        there = project.resolve()
        if here == there or there.is_relative_to(here):
            raise ConfigError(
                f"the output folder {out} holds the input", hint="choose another folder with -o"
            )
        if here.is_relative_to(there):
            raise ConfigError(
                f"the output folder {out} lies inside the input",
                hint="choose a folder outside the project with -o",
            )
    _check_parents(out)
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ConfigError(f"{out} is not a folder", hint="choose a new folder with -o")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ConfigError(
            f"the output folder {out} is not empty and was not written by vtool",
            hint="choose a new folder with -o, or empty this one",
        )


def check_file(path: Path, *, makes_folders: bool = False) -> None:
    """Refuse to promise a file where none can be.

    The folder of a file that somebody names must be there: a path with a slip of the pen would make
    folders that nobody looks for. ``makes_folders`` is for files in a folder that was named as one.

    Errors:
        ConfigError: ``path`` is a folder, or lies in something that is none, is not there or is not
            writable.
    """
    _check_parents(path)
    if not makes_folders and not path.parent.exists():
        raise ConfigError(
            f"{path} cannot be written: there is no folder {path.parent}",
            hint="make the folder first, or choose another place",
        )
    parent = next(p for p in path.absolute().parents if p.exists())
    try:
        folder = path.is_dir()
        with tempfile.TemporaryFile(dir=parent):  # what root may do, a file system may still refuse
            pass
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", hint="choose another place"
        ) from error
    if folder:
        raise ConfigError(f"{path} is a folder", hint="name a file in it")


def _check_parents(path: Path) -> None:
    """Refuse a path whose nearest existing parent is no folder that can be written to."""
    parent = next(p for p in path.absolute().parents if p.exists() or p.is_symlink())
    if not parent.is_dir():
        raise ConfigError(
            f"{path} cannot be written: {parent} is not a folder", hint="choose another place"
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{path} cannot be written: no permission in {parent}", hint="choose another place"
        )


@contextlib.contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Yield a new folder beside ``out``; on success it takes the place of ``out`` at once.

    On any error the folder is removed and ``out`` stays as it was. What an earlier run left when
    it was killed is removed first.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out)
        folder = out.parent / f"{_STAGING}{out.name}-{os.getpid()}"
        folder.mkdir()
        try:
            yield folder
            _exchange(folder, out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}:
            raise UnavailableError(
                f"cannot write to {out}: {error.strerror}",
                hint="free some space or choose another folder; the old result is untouched",
            ) from error
        raise


def write(
    graph: Graph,
    store: DirectoryStore,
    folder: Path,
    renames: Mapping[ArtifactId, ArtifactId],
    formats: Mapping[str, Mapping[str, Mapping[str, str]]] = MappingProxyType({}),
) -> dict[ArtifactId, Path]:
    """Write all files of ``graph`` and their encodings below ``folder``, manifest and headers.

    Source maps of its scripts go to a folder of their own, which is no part of what ships.

    ``formats`` says of each package in which format and setting it runs best on which target.
    Returns the path of every file by its id.

    Errors:
        InputError: the project has a file with a name that a result needs for itself.
            Or a file changed while vtool worked.
        PassError: a pass gave a file a name that leads out of ``folder``.
    """
    _check_names(graph)
    siblings: dict[tuple[ArtifactId, Relation], list[ArtifactId]] = {}
    for edge in sorted(graph.edges):
        if edge.relation in SIBLINGS and edge.relation is not Relation.MAPS:
            siblings.setdefault((edge.target, edge.relation), []).append(edge.source)
    for other in (one for several in siblings.values() for one in several):
        _copy(store, graph.artifacts[other].digest, folder / other)

    def listed(name: ArtifactId, relation: Relation) -> list[dict[str, object]]:
        found = siblings.get((name, relation), [])
        return [{"id": other, "size": graph.artifacts[other].size} for other in found]

    paths = {}
    rows = []
    for name, artifact in graph.files.items():
        paths[name] = _copy(store, artifact.digest, folder / name)
        deltas = listed(name, Relation.DELTA)
        rows.append(
            {
                "id": name,
                "kind": artifact.kind,
                "sha256": artifact.digest,
                "size": artifact.size,
                "encodings": listed(name, Relation.ENCODES),
                **({"deltas": deltas} if deltas else {}),
                **({"formats": dump(formats[name])} if name in formats else {}),
            }
        )
    maps = []
    for script, sourcemap in sorted(graph.maps().items()):
        name = ArtifactId(f"{MAPS}/{script}.map")
        _copy(store, sourcemap.digest, folder / name)
        maps.append({"script": script, "map": name, "size": sourcemap.size})
    manifest = {
        "manifest_version": _MANIFEST_VERSION,
        "files": rows,
        **({"maps": maps} if maps else {}),
        "roots": sorted(graph.roots),
        "renamed": dict(sorted(renames.items())),
    }
    for file, document in ((MANIFEST, manifest), (HEADERS, headers(graph, store))):
        (folder / file).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return paths


def _check_names(graph: Graph) -> None:
    for name in graph.files:
        if name.partition("/")[0] in RESERVED:
            raise InputError(
                f"the project has a file {name}, which is what vtool calls its own",
                hint="give it another name or leave it out in `sources`",
            )
    for name in graph.artifacts:
        file = PurePosixPath(name.partition("#")[0])
        if name.startswith("/") or ".." in file.parts:
            raise PassError(
                f"{name} would lie outside the output folder",
                hint="correct the options of the pass that made it; nothing was written",
            )


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` so that a reader sees the old file or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{os.getpid()}")
        try:
            temporary.write_text(text, "utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", hint="choose another place for the file"
        ) from error


def _copy(store: DirectoryStore, digest: Digest, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = store.path(digest)
    shutil.copyfile(source, target)
    with target.open("rb") as copied:  # an own file may be edited while vtool works
        if hashlib.file_digest(copied, "sha256").hexdigest() != digest:
            raise InputError(
                f"{target.name} changed while vtool worked", hint="run the same command again"
            )
    if os.access(source, os.X_OK):
        target.chmod(0o755)
    return target


def _exchange(new: Path, out: Path) -> None:
    """Put ``new`` in the place of ``out``; the old result is left under the name of ``new``."""
    if not out.exists():
        new.rename(out)
        return
    if not _exchange_at_once(new, out):
        aside = out.with_name(f"{_STAGING}{out.name}-old")
        out.rename(aside)  # systems without an exchange: a kill between these two lines
        new.rename(out)  # leaves the old result under the name `aside`, never half of one
        shutil.rmtree(aside, ignore_errors=True)


def _exchange_at_once(new: Path, out: Path) -> bool:
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = (os.fsencode(new), os.fsencode(out))
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


def _remove_leftovers(out: Path) -> None:
    prefix = f"{_STAGING}{out.name}-"
    for old in out.parent.glob(f"{glob.escape(prefix)}*"):
        owner = old.name.removeprefix(prefix)
        if not owner.isdigit() and owner != "old":
            continue  # another output folder's, with a longer name
        if owner.isdigit() and _alive(int(owner)):
            raise ConfigError(
                f"another vtool (process {owner}) is writing to {out}",
                hint="wait until it is done or choose another folder with -o",
            )
        if owner == "old" and not out.exists():
            old.rename(out)
            continue
        shutil.rmtree(old, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()
