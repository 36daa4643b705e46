"""Writes small safetensors files for tests, from the format's description alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_NAMES = {"float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8", "bool": "BOOL"}


def written(
    tensors: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return a file with ``tensors``, their bytes in the same order."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    body = b""
    for name, values in tensors.items():
        start = len(body)
        body += np.ascontiguousarray(values).tobytes()
        header[name] = {
            "dtype": _NAMES[values.dtype.name],
            "shape": list(values.shape),
            "data_offsets": [start, len(body)],
        }
    return packed(json.dumps(header), body)


def packed(header: str, body: bytes) -> bytes:
    """Return a file with any header; spaces fill it up to eight bytes, as the reference does."""
    text = header.encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body
