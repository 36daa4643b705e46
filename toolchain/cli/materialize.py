"""``vtool materialize``: make the model that runs from the package that travels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from toolchain.cli.show import JsonOption, progress, writable, write_json
from toolchain.errors import ConfigError, FormatError, InputError, UnavailableError
from toolchain.progress import Progress
from toolchain.units import Bytes, show_bytes


def materialize(
    package: Annotated[Path, typer.Argument(help="A model package, as `vtool optimize` writes.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The ONNX file to write.", callback=writable)
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", "-f", help="An execution format of the package."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Where it will run: as `vtool optimize --target` chose, or as said."),
    ] = None,
    setting: Annotated[
        str | None, typer.Option(help="Of the target: how the model is stored and opened.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Make the ONNX model that runs from PACKAGE.

    The result is the same on every machine, and checked: every chunk and the whole model have
    their digests in the package. `folded` fills every weight in, in its own type; a package names
    the other formats in which its model passed its task.

    With --target the model is stored as it runs best there: in the format and setting that
    vtool-manifest.json names, or those given. A setting may have onnxruntime optimize the graph now
    (which holds for its version and this kind of processor) and put the weights into a file beside
    it; what is printed last is how to open the model.

    Examples:

      vtool materialize voice.vtm -o voice.onnx

      vtool materialize llm.vtm -o llm.onnx --format matmul-nbits-4

      vtool materialize out/models/voice.vtm -o voice.onnx --target native-cpu
    """
    import json as jsonlib

    _check_files(package, out)
    if setting and not target:
        raise ConfigError("a setting is one of a target", hint="say --target too")
    row: dict[str, Any] = {"package": str(package), "model": str(out)}
    if target:
        row |= _installed(package, out, target, form, setting)
    else:
        row |= _materialized(package, out, form or "folded")
    if not write_json(jsonlib.dumps(row) if json else "", json):
        before, after = (show_bytes(Bytes(n)) for n in (package.stat().st_size, row["size"]))
        typer.echo(f"{out}: {before} -> {after}, {row['format']}, sha256 {row['sha256']}")
        if target:
            opened = jsonlib.dumps(row["session"]) if row["session"] else "as usual"
            typer.echo(f"stored as {row['setting']!r} for {target}; session options: {opened}")
            if not (row["measured"] or form or setting):
                typer.echo(f"note: no vtool-manifest.json beside it says what is best on {target}")


def _materialized(package: Path, out: Path, form: str) -> dict[str, Any]:
    with progress() as bars, _damage_named(package):
        size, digest = _write(out, _pieces(package.read_bytes(), form, bars))
    return {"format": form, "size": size, "sha256": digest}


def _installed(
    package: Path, out: Path, target: str, form: str | None, setting: str | None
) -> dict[str, Any]:
    from toolchain.installing import chosen, stored

    placed = chosen(package, target, form, setting)
    with progress() as bars, _damage_named(package):
        model = b"".join(_pieces(package.read_bytes(), placed.format, bars))
        files = stored(model, placed, out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    return {
        "format": placed.format,
        "size": sum(file.stat().st_size for file in files),
        "sha256": digest,
        "target": target,
        "setting": placed.setting.name,
        "measured": placed.by_manifest,
        "files": [str(file) for file in files],
        "session": dict(placed.session),
    }


def _pieces(data: bytes, form: str, bars: Progress) -> Iterator[bytes]:
    from toolchain.formats import execution_format, materializer, package_header

    _check_format(form, package_header.read(data).header.formats)
    pieces = materializer.pieces(data, progress=bars)
    if form == execution_format.FOLDED:
        return iter(pieces)
    return iter((execution_format.applied(b"".join(pieces), form),))


@contextmanager
def _damage_named(package: Path) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        raise InputError(
            f"{package}: {error}", hint="it is damaged or no package: download or build it again"
        ) from error


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
