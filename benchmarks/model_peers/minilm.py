"""Writes a BERT encoder's safetensors as float32 ONNX, as an exporter would.

all-MiniLM-L6-v2: 6 layers, 384 numbers, 12 heads. Inputs ``input_ids``, ``attention_mask`` and
``token_type_ids`` (batch, sequence) int64, output ``last_hidden_state`` (batch, sequence, 384).

Source: Devlin et al., BERT, 2019; sizes are those of the weights; the number of heads and the layer
norms' epsilon are those of the package's config.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.formats.onnx_model import serialized

_HEADS = 12
_EPSILON = 1e-12
_HIDDEN_FROM = -10_000.0  # added to the scores of what the mask leaves out: e to it is 0

Weights = Mapping[str, NDArray[np.float32]]


def exported(safetensors: bytes) -> bytes:
    """Return the model of the weights in ``safetensors``."""
    writer = _Writer(_read(safetensors), GraphBuilder())
    output = writer.encoder()
    shape = ("batch", "sequence")
    names = ("input_ids", "attention_mask", "token_type_ids")
    size = writer.weights["embeddings.LayerNorm.weight"].size
    return serialized(
        writer.graph.model(
            [value(name, np.int64, shape) for name in names],
            [value(output, np.float32, (*shape, size))],
            {},
        )
    )


def _read(data: bytes) -> Weights:
    """Return the float32 tensors of a safetensors file: a header's length, the header, numbers."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    return {
        name: np.frombuffer(
            data[start + one["data_offsets"][0] : start + one["data_offsets"][1]], np.float32
        ).reshape(one["shape"])
        for name, one in header.items()
        if one.get("dtype") == "F32"
    }


@dataclass(frozen=True)
class _Writer:
    weights: Weights
    graph: GraphBuilder

    def encoder(self) -> str:
        """Write all layers; return the name of the output."""
        add = self.graph.add
        words = add("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        kinds = add(
            "Gather", self._weight("embeddings.token_type_embeddings.weight"), "token_type_ids"
        )
        length = add("Shape", "input_ids", start=1)
        places = add(
            "Slice",
            self._weight("embeddings.position_embeddings.weight"),
            self.graph.integers(0),
            length,
            self.graph.integers(0),
        )
        hidden = self._normed(add("Add", add("Add", words, kinds), places), "embeddings.LayerNorm")
        seen = add("Cast", "attention_mask", to=1)
        unseen = add("Sub", self.graph.scalar(1.0, np.float32), seen)
        mask = add("Mul", unseen, self.graph.scalar(_HIDDEN_FROM, np.float32))
        mask = add("Unsqueeze", mask, self.graph.integers(1, 2))
        layers = sum(name.endswith("attention.self.query.weight") for name in self.weights)
        for layer in range(layers - 1):
            hidden = self._layer(hidden, mask, f"encoder.layer.{layer}")
        last = self._layer(hidden, mask, f"encoder.layer.{layers - 1}")
        return add("Identity", last, outputs=["last_hidden_state"])

    def _layer(self, hidden: str, mask: str, name: str) -> str:
        add = self.graph.add
        query, key, values = (
            self._split(self._linear(hidden, f"{name}.attention.self.{part}"), keys=part == "key")
            for part in ("query", "key", "value")
        )
        width = self.weights["embeddings.LayerNorm.weight"].size // _HEADS
        scores = add(
            "Div", add("MatMul", query, key), self.graph.scalar(math.sqrt(width), np.float32)
        )
        shares = add("Softmax", add("Add", scores, mask), axis=-1)
        mixed = add("Transpose", add("MatMul", shares, values), perm=[0, 2, 1, 3])
        mixed = add("Reshape", mixed, self.graph.integers(0, 0, _HEADS * width))
        out = f"{name}.attention.output"
        hidden = self._normed(
            add("Add", self._linear(mixed, f"{out}.dense"), hidden), f"{out}.LayerNorm"
        )
        wide = self._gelu(self._linear(hidden, f"{name}.intermediate.dense"))
        narrow = self._linear(wide, f"{name}.output.dense")
        return self._normed(add("Add", narrow, hidden), f"{name}.output.LayerNorm")

    def _split(self, hidden: str, *, keys: bool) -> str:
        heads = self.graph.add("Reshape", hidden, self.graph.integers(0, 0, _HEADS, -1))
        return self.graph.add("Transpose", heads, perm=[0, 2, 3, 1] if keys else [0, 2, 1, 3])

    def _linear(self, hidden: str, name: str) -> str:
        turned = self.graph.constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        product = self.graph.add("MatMul", hidden, turned)
        return self.graph.add("Add", product, self._weight(f"{name}.bias"))

    def _gelu(self, hidden: str) -> str:
        """X / 2 (1 + erf(x / sqrt 2)), as torch writes it."""
        add, scalar = self.graph.add, self.graph.scalar
        erf = add("Erf", add("Div", hidden, scalar(math.sqrt(2), np.float32)))
        return add(
            "Mul",
            add("Mul", hidden, add("Add", erf, scalar(1.0, np.float32))),
            scalar(0.5, np.float32),
        )

    def _normed(self, hidden: str, name: str) -> str:
        return self.graph.add(
            "LayerNormalization",
            hidden,
            self._weight(f"{name}.weight"),
            self._weight(f"{name}.bias"),
            axis=-1,
            epsilon=_EPSILON,
        )

    def _weight(self, name: str) -> str:
        return self.graph.constant(name, self.weights[name])
