"""Writes an ONNX model in the format it runs fastest in: same inputs, same outputs, other nodes.

What travels and what runs are two formats. A model that was materialized with every weight filled
in (``folded``) becomes, for the target it will run on, one of ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onnx import ModelProto

from toolchain.errors import ConfigError
from toolchain.formats.onnx_matmul_float import with_matmul_float
from toolchain.formats.onnx_matmul_integer import with_matmul_integer
from toolchain.formats.onnx_matmul_nbits import with_matmul_nbits
from toolchain.formats.onnx_model import load, serialized
from toolchain.formats.onnx_small_storage import with_half_weights, with_int8_weights

FOLDED = "folded"
"""The execution format every package has: all tensors decoded, in their own types."""

FORMATS: Mapping[str, Callable[[ModelProto], bool]] = {
    FOLDED: lambda _: False,
    "fp16-storage": with_half_weights,
    "int8-weights": with_int8_weights,
    "matmul-float": with_matmul_float,
    "matmul-integer": lambda model: with_matmul_integer(model, 1),
    "matmul-integer-rows": lambda model: with_matmul_integer(model, 1, each_row=True),
    "matmul-integer-16": lambda model: with_matmul_integer(model, 2),
    "matmul-nbits-4": lambda model: with_matmul_nbits(model, 4),
    "matmul-nbits-8": lambda model: with_matmul_nbits(model, 8),
}
"""Each changes the model it is given, or returns False and leaves it as it is."""


def applied(model: bytes, format: str) -> bytes:  # noqa: A002 - what it is called everywhere
    """Return ``model`` in another execution format; ``model`` itself where that changes nothing.

    A model that has no products with known weights, as one that is quantized already, is not
    changed by ``matmul-*``; ``matmul-float`` changes blocks alone, and no number. Weights that are
    small integers times one step a column (a block) are taken as they are; others are rounded to
    such a grid, so the other formats are lossy for them.

    Errors:
        ConfigError: there is no such format.
        InputError: not an ONNX model, or one with weights in another file.
    """
    if format not in FORMATS:
        raise ConfigError(
            f"there is no execution format {format!r}", hint=f"formats: {', '.join(FORMATS)}"
        )
    if format == FOLDED:
        return model
    graph = load(model)
    return serialized(graph) if FORMATS[format](graph) else model
