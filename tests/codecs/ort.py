"""ORT models in golden files: the ONNX model in text that onnxruntime saved as ORT, unoptimized.

Shown as the operators that it holds: the file itself is onnxruntime's.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime
from onnx import parser

from toolchain.formats import ort_model


def encode(text: str) -> bytes:
    """Return the ORT file that onnxruntime writes for the model that ``text`` describes."""
    return saved(parser.parse_model(text).SerializeToString())


def saved(model: bytes, *, level: str = "ORT_DISABLE_ALL") -> bytes:
    """Return an ONNX model as onnxruntime saves it at an optimization level."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ort"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # a warning says that the file is for this machine
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()


def decode(data: bytes) -> str:
    """Return the operators of a model."""
    return f"{dict(ort_model.inventory(memoryview(data)).facts())['operators']}\n"
