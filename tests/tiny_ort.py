"""Writes small ORT models for tests, with onnxruntime itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime
from onnx import parser


def of(text: str) -> bytes:
    """Return the ORT file, not optimized, of the model that ``text`` describes."""
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
