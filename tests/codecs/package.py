"""Packages in golden files: what runs and what is coded; not the codes, which a CPU may move."""

from __future__ import annotations

from onnx import ModelProto, printer

from toolchain.formats import onnx_model
from toolchain.formats.model_package import unpack


def decode(data: bytes) -> str:
    """Return the formats, the coded tensors, and the graph without its weights."""
    opened = unpack(data)
    model = ModelProto()
    model.ParseFromString(opened.model)
    names = [t.name for t in onnx_model.tensors(model)]
    coded = [
        f"# coded: {names[at]} {tensor.dtype}{list(tensor.shape)}"
        for at, tensor in sorted(opened.coded.items())
    ]
    del model.graph.initializer[:]
    return "\n".join(
        [f"# formats: {', '.join(opened.formats)}", *coded, printer.to_text(model).rstrip(), ""]
    )
