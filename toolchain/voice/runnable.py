"""Makes an application's files runnable as they are: a GGUF model becomes plain float32 ONNX."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolchain.errors import UnavailableError
from toolchain.voice.pipeline import STAGES

_GGUF_MAGIC = b"GGUF"


def runnable(files: Mapping[str, Path], voice: Mapping[str, Any], cache: Path) -> dict[str, Path]:
    """Return ``files`` with each GGUF model that ``voice`` names as ONNX in ``cache``.

    onnxruntime does not read GGUF, so what an application without our passes would run is the same
    weights, widened to float32: written once, named by the digest of the GGUF.

    Errors:
        InputError: a GGUF file that cannot be read.
        UnavailableError: ``cache`` cannot be written.
    """
    found = dict(files)
    for stage in STAGES:
        for name in voice[stage].values():
            if isinstance(name, str) and name in files and _is_gguf(files[name]):
                found[name] = _as_float32(files[name], cache)
    return found


def data_files(model: Path) -> list[Path]:
    """Return the files a model consists of: itself, and the weights that lie beside it."""
    return [p for p in (model, model.with_name(f"{model.name}.data")) if p.exists()]


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GGUF_MAGIC)) == _GGUF_MAGIC


def _as_float32(gguf: Path, cache: Path) -> Path:
    from toolchain.formats.llama_float import write_fp32  # noqa: PLC0415 - onnx and gguf: 0.5 s

    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache / "fp32" / digest
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as new:
                made = Path(new) / "model"
                made.mkdir()
                write_fp32(gguf, made)
                if not folder.is_dir():  # or another process was faster
                    made.rename(folder)
    except OSError as error:
        raise UnavailableError(
            f"the float32 model cannot be written to the cache: {error.strerror}",
            hint="free 600 MB of disk space or set VTOOL_CACHE to a folder with room",
        ) from error
    return next(folder.glob("*.onnx"))
