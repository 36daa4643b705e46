"""Makes an application's files runnable: a package is materialized, GGUF becomes float32 ONNX."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolchain.execution.shelf import made_once
from toolchain.voice.pipeline import STAGES

_GGUF = b"GGUF"
_PACKAGE = b"VTMODEL1"


def runnable(files: Mapping[str, Path], voice: Mapping[str, Any], cache: Path) -> dict[str, Path]:
    """Return ``files`` with each package and GGUF model that ``voice`` names as ONNX in ``cache``.

    A package becomes what runs where it is installed. onnxruntime does not read GGUF, so what an
    application without our passes would run is the same weights, widened to float32. Both are
    written once, named by the digest of what they were made from.

    Errors:
        InputError: a GGUF file or package that cannot be read.
        UnavailableError: ``cache`` cannot be written.
    """
    found = dict(files)
    for stage in STAGES:
        for name in voice[stage].values():
            if isinstance(name, str) and name in files:
                found[name] = _runnable(files[name], cache)
    return found


def is_gguf(path: Path) -> bool:
    """Return whether the file at ``path`` begins as GGUF models do."""
    return _head(path).startswith(_GGUF)


def is_package(path: Path) -> bool:
    """Return whether the file at ``path`` is a model package, which something has to install."""
    return _head(path) == _PACKAGE


def data_files(model: Path) -> list[Path]:
    """Return the files a model consists of: itself, and the weights that lie beside it."""
    return [p for p in (model, model.with_name(f"{model.name}.data")) if p.exists()]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_PACKAGE))


def _runnable(path: Path, cache: Path) -> Path:
    """Return where the runnable form of a model lies; ``path`` itself where it is one."""
    head = _head(path)
    if head.startswith(_GGUF):
        return _written_once(path, cache / "fp32", _write_float32)
    if head == _PACKAGE:
        return _written_once(path, cache / "materialized", _write_materialized)
    return path


def _write_float32(gguf: Path, folder: Path) -> None:
    from toolchain.formats.llama_float import write_fp32  # noqa: PLC0415 - onnx and gguf: 0.5 s

    write_fp32(gguf, folder)


def _write_materialized(package: Path, folder: Path) -> None:
    from toolchain.formats.materializer import materialize  # noqa: PLC0415 - only where used

    (folder / f"{package.stem}.onnx").write_bytes(materialize(package.read_bytes()))


def _written_once(source: Path, shelf: Path, write: Callable[[Path, Path], None]) -> Path:
    """Return the ONNX file that ``write`` makes of ``source``, made now if it is not there."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = made_once(shelf / digest, lambda made: write(source, made))
    return next(folder.glob("*.onnx"))
