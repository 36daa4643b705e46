"""Reads and writes ONNX models."""

from __future__ import annotations

from onnx import ModelProto


def serialized(model: ModelProto) -> bytes:
    """Return the bytes of ``model``; map entries in sorted order, so always the same."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data
