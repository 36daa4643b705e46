"""The number types of ONNX and ORT tensors: their names and how many bits each takes.

Source: onnx.proto, ``TensorProto.DataType``; ORT files use the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import TensorProto

TYPE_NAMES: Mapping[int, str] = {
    number: name.lower() for name, number in TensorProto.DataType.items()
} | {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}
BITS: Mapping[str, int] = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 64),
    **dict.fromkeys(("float32", "int32", "uint32"), 32),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 16),
    **dict.fromkeys(("int8", "uint8", "bool"), 8),
    **dict.fromkeys(("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"), 8),
    **dict.fromkeys(("int4", "uint4", "float4e2m1"), 4),
    **dict.fromkeys(("int2", "uint2"), 2),
    "complex128": 128,
    "float8e8m0": 8,
}
