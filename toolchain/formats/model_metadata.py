"""What a model's author wrote into it beside the graph: tokenizer, template, name."""

from __future__ import annotations

from pathlib import Path

from toolchain.errors import InputError
from toolchain.formats import gguf, llama, onnx_model


def read(path: Path, name: str) -> dict[str, str]:
    """Return the metadata of a GGUF or ONNX file, which errors call ``name``.

    GGUF's values become JSON text, as an import writes them.

    Errors:
        InputError: the file is neither, or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{name} cannot be read: {error.strerror}", hint="give it again"
        ) from error
    if data.startswith(gguf.MAGIC):
        return llama.metadata(gguf.read(data))
    return {entry.key: entry.value for entry in onnx_model.load(data).metadata_props}
