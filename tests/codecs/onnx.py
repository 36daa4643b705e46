"""ONNX models in golden files: the text syntax of the specification (onnx.parser, onnx.printer)."""

from __future__ import annotations

import hashlib
import math

from onnx import ModelProto, TensorProto, helper, numpy_helper, parser, printer

_MOST_NUMBERS = 16  # a longer constant is shown by type, shape and digest
_MOST_CHARACTERS = 60  # of a metadata value


def encode(text: str) -> bytes:
    """Return the model that ``text`` describes."""
    data: bytes = parser.parse_model(text).SerializeToString(deterministic=True)
    return data


def decode(data: bytes) -> str:
    """Return the text of a model; its long constants are comments below it."""
    model = ModelProto()
    model.ParseFromString(data)
    long = [t for t in model.graph.initializer if _is_long(t)]
    short = [t for t in model.graph.initializer if not _is_long(t)]
    del model.graph.initializer[:]
    model.graph.initializer.extend(short)
    metadata = {p.key: p.value for p in model.metadata_props}
    del model.metadata_props[:]
    lines = [printer.to_text(model).rstrip("\n")]
    for tensor in long:
        array = numpy_helper.to_array(tensor)
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:8]
        name = helper.tensor_dtype_to_np_dtype(tensor.data_type).name
        lines.append(f"# {tensor.name} = {name}{list(array.shape)} sha256:{digest}")
    for key, value in metadata.items():
        shown = value if len(value) <= _MOST_CHARACTERS else f"{value[:_MOST_CHARACTERS]}..."
        lines.append(f"# {key}: {shown}")
    return "".join(f"{line}\n" for text in lines for line in text.splitlines())


def _is_long(tensor: TensorProto) -> bool:
    elsewhere = tensor.data_location == TensorProto.EXTERNAL  # shown by its place
    return not elsewhere and math.prod(tensor.dims) > _MOST_NUMBERS
