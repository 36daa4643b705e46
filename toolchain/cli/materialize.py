"""``vtool materialize``: make the model that runs from the package that travels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from toolchain.cli.show import JsonOption, progress, writable, write_json
from toolchain.errors import ConfigError, FormatError, InputError, UnavailableError
from toolchain.units import show_bytes


def materialize(
    package: Annotated[Path, typer.Argument(help="A model package, as `vtool optimize` writes.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The ONNX file to write.", callback=writable)
    ],
    form: Annotated[
        str, typer.Option("--format", "-f", help="An execution format of the package.")
    ] = "folded",
    json: JsonOption = None,
) -> None:
    """Make the ONNX model that runs from PACKAGE.

    The result is the same on every machine, and checked: every chunk and the whole model have
    their digests in the package. `folded` fills every weight in, in its own type; a package names
    the other formats in which its model passed its task.

    Examples:

      vtool materialize voice.vtm -o voice.onnx

      vtool materialize llm.vtm -o llm.onnx --format matmul-nbits-4
    """
    import json as jsonlib

    from toolchain.formats import execution_format, materializer, package_header

    _check_files(package, out)
    data = package.read_bytes()
    try:
        _check_format(form, package_header.read(data).header.formats)
        with progress() as bars:
            pieces = materializer.pieces(data, progress=bars)
            if form != execution_format.FOLDED:
                pieces = iter((execution_format.applied(b"".join(pieces), form),))
            size, digest = _write(out, pieces)
    except FormatError as error:
        raise InputError(
            f"{package}: {error}", hint="it is damaged or no package: download or build it again"
        ) from error
    row = {"package": str(package), "model": str(out), "format": form, "size": size}
    if not write_json(jsonlib.dumps(row | {"sha256": digest}) if json else "", json):
        sizes = f"{show_bytes(len(data))} -> {show_bytes(size)}"
        typer.echo(f"{out}: {sizes}, {form}, sha256 {digest}")


def _check_files(package: Path, out: Path) -> None:
    if not package.is_file():
        raise ConfigError(f"there is no file {package}", hint="name a model package (.vtm)")
    if out.resolve() == package.resolve():
        raise ConfigError(f"{out} is the package itself", hint="name another file after -o")


def _check_format(form: str, known: Sequence[str]) -> None:
    if form not in known:
        raise ConfigError(
            f"the package's model was not checked as {form!r}",
            hint=f"its formats: {', '.join(known)}",
        )


def _write(path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Write ``pieces`` so that a reader sees the old file or the whole new one.

    Returns size and SHA-256.
    """
    size, digest = 0, hashlib.sha256()
    try:
        with _replacing(path) as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", hint="choose another place for the file"
        ) from error
    return size, digest.hexdigest()


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes ``path`` if nothing is raised, and is gone otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
