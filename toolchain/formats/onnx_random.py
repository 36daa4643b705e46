"""Gives the random operators of a model fixed seeds, so that it answers twice the same."""

from __future__ import annotations

import zlib

from onnx import helper

from toolchain.formats import onnx_model

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike"}
)


def seeded(data: bytes) -> bytes:
    """Return the model with a seed in every random operator; ``data`` itself if it has none.

    The seed follows from the name of the operator's result, so that two models get the same
    numbers wherever the operators stand: onnxruntime's own seeds follow from their positions.
    """
    if not any(name.encode() in data for name in _RANDOM):
        return data
    model = onnx_model.load(data)
    for node in onnx_model.nodes(model):
        if node.op_type in _RANDOM and not node.domain:
            kept = [a for a in node.attribute if a.name != "seed"]
            seed = float(zlib.crc32(node.output[0].encode()) % 2**20)  # exact in float32
            onnx_model.refill(node.attribute, [*kept, helper.make_attribute("seed", seed)])
    return onnx_model.serialized(model)
