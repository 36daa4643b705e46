"""ORT models in golden files: the ONNX model in text that onnxruntime saved as ORT, unoptimized.

Shown as the operators that it holds: the file itself is onnxruntime's.
"""

from __future__ import annotations

import tiny_ort

from toolchain.formats import ort_model


def encode(text: str) -> bytes:
    """Return the ORT file that onnxruntime writes for the model that ``text`` describes."""
    return tiny_ort.of(text)


def decode(data: bytes) -> str:
    """Return the operators of a model."""
    return f"{dict(ort_model.inventory(memoryview(data)).facts())['operators']}\n"
