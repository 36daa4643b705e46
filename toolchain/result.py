"""A result of ``vtool optimize`` that is played again: its files, as its manifest lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain.emit import MANIFEST
from toolchain.errors import ConfigError, FormatError, InputError
from toolchain.ir import ArtifactId
from toolchain.sources.address import parse
from toolchain.sources.manifest import MANIFEST as PROJECT
from toolchain.tables import check


@dataclass(frozen=True)
class _Row:
    """What is read of a manifest's row; it has more."""

    id: str


@dataclass(frozen=True)
class _Manifest:
    files: tuple[_Row, ...]
    renamed: Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """A folder that ``vtool optimize`` wrote."""

    files: Mapping[str, Path]  # by id
    renamed: Mapping[ArtifactId, ArtifactId]  # id in the project -> id in the result


def read_result(folder: Path) -> Result:
    """Return what the manifest in ``folder`` lists.

    Errors:
        InputError: there is no manifest, it is damaged, or a file that it lists is not there.
    """
    try:
        document = json.loads((folder / MANIFEST).read_text("utf-8"))
        manifest = check(document, _Manifest, where=MANIFEST)
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        raise InputError(
            f"{folder} is not a result of `vtool optimize`", hint=f"it has no readable {MANIFEST}"
        ) from error
    files = {row.id: folder / row.id for row in manifest.files}
    for name, path in files.items():
        if not path.is_file():
            raise InputError(
                f"{folder} lacks {name}, which its {MANIFEST} names",
                hint="the result is not whole: make it again with `vtool optimize`",
            )
    renamed = {ArtifactId(old): ArtifactId(new) for old, new in manifest.renamed.items()}
    return Result(files, renamed)


def require_project(target: str) -> None:
    """Refuse what cannot be played as a project, before anything large is imported or read.

    Errors:
        ConfigError: ``target`` is not a folder with a ``vtool.toml``.
        InputError: there is nothing.
    """
    found = parse(target)
    if not isinstance(found, Path) or not (found / PROJECT).is_file():
        raise ConfigError(
            f"{target} is not a folder with a {PROJECT}",
            hint="name a project: its [voice] table says which models listen, understand, answer "
            "and speak",
        )


def require_side(target: str) -> None:
    """Refuse what is neither a project nor a whole result.

    Errors:
        InputError: it is so.
    """
    if (Path(target) / MANIFEST).is_file():
        read_result(Path(target))
    elif not (Path(target) / PROJECT).is_file():
        parse(target)  # says where there is nothing at all
        raise InputError(
            f"{target} is not a result of `vtool optimize`, and no project",
            hint=f"it has no readable {MANIFEST}, and no {PROJECT}",
        )


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Name the package ``name`` in whatever is wrong with its bytes.

    Errors:
        InputError: it is damaged.
    """
    try:
        yield
    except FormatError as error:
        raise InputError(
            f"{name}: {error}",
            hint="the file is damaged: make the result again with `vtool optimize`, or fetch it "
            "again",
        ) from error
