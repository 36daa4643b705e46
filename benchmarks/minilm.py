"""Writes all-MiniLM-L6-v2 as plain float32 ONNX, as an exporter would: an encoder nobody tuned for.

    python benchmarks/minilm.py model.zip minilm.onnx

The zip holds what the model was published as: ``model.safetensors``, ``config.json``.

Source: Devlin et al., BERT (2018); names are the checkpoint's own (Hugging Face, BertModel).
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolchain.formats import onnx_model, safetensors
from toolchain.formats.onnx_builder import GraphBuilder, value

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class _Bert:
    weights: Weights
    heads: int
    epsilon: float
    graph: GraphBuilder = field(default_factory=GraphBuilder)

    def weight(self, name: str, *, transposed: bool = False) -> str:
        values = self.weights[name]
        return self.graph.constant(name, values.T if transposed else values)

    def dense(self, states: str, name: str) -> str:
        product = self.graph.add("MatMul", states, self.weight(f"{name}.weight", transposed=True))
        return self.graph.add("Add", product, self.weight(f"{name}.bias"))

    def norm(self, states: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.graph.add(
            "LayerNormalization", states, scale, bias, axis=-1, epsilon=self.epsilon
        )

    def gelu(self, states: str) -> str:
        root = self.graph.add("Div", states, self.graph.scalar(2**0.5, np.float32))
        share = self.graph.add(
            "Add", self.graph.add("Erf", root), self.graph.scalar(1.0, np.float32)
        )
        product = self.graph.add("Mul", states, share)
        return self.graph.add("Mul", product, self.graph.scalar(0.5, np.float32))

    def embeddings(self) -> str:
        g, prefix = self.graph, "embeddings."
        length = g.add("Shape", "input_ids", start=1, end=2)
        known = self.weight(f"{prefix}position_embeddings.weight")
        places = g.add("Slice", known, g.integers(0), length, g.integers(0))
        words = g.add("Gather", self.weight(f"{prefix}word_embeddings.weight"), "input_ids")
        types = self.weight(f"{prefix}token_type_embeddings.weight")
        both = g.add("Add", words, g.add("Gather", types, "token_type_ids"))
        return self.norm(g.add("Add", both, places), f"{prefix}LayerNorm")

    def mask(self) -> str:
        """Return what is added to the scores: 0, or -10000 where the mask is 0; (b, 1, 1, n)."""
        g = self.graph
        wide = g.add("Cast", g.add("Unsqueeze", "attention_mask", g.integers(1, 2)), to=1)
        absent = g.add("Sub", g.scalar(1.0, np.float32), wide)
        return g.add("Mul", absent, g.scalar(-10_000.0, np.float32))

    def attention(self, states: str, mask: str, name: str) -> str:
        g = self.graph
        split = g.integers(0, 0, self.heads, -1)
        query, key, values = (
            g.add("Reshape", self.dense(states, f"{name}.self.{part}"), split)
            for part in ("query", "key", "value")
        )
        size = len(self.weights[f"{name}.self.query.bias"]) // self.heads
        scores = g.add(
            "MatMul",
            g.add("Transpose", query, perm=(0, 2, 1, 3)),
            g.add("Transpose", key, perm=(0, 2, 3, 1)),
        )
        scaled = g.add("Div", scores, g.scalar(float(size**0.5), np.float32))
        shares = g.add("Softmax", g.add("Add", scaled, mask), axis=-1)
        seen = g.add("MatMul", shares, g.add("Transpose", values, perm=(0, 2, 1, 3)))
        joined = g.add("Reshape", g.add("Transpose", seen, perm=(0, 2, 1, 3)), g.integers(0, 0, -1))
        more = g.add("Add", self.dense(joined, f"{name}.output.dense"), states)
        return self.norm(more, f"{name}.output.LayerNorm")

    def layer(self, states: str, mask: str, name: str) -> str:
        seen = self.attention(states, mask, f"{name}.attention")
        inner = self.gelu(self.dense(seen, f"{name}.intermediate.dense"))
        more = self.graph.add("Add", self.dense(inner, f"{name}.output.dense"), seen)
        return self.norm(more, f"{name}.output.LayerNorm")


def bert(weights: Weights, *, layers: int, heads: int, epsilon: float = 1e-12) -> bytes:
    """Return an ONNX model: token numbers, mask and types (b, n) to states (b, n, hidden)."""
    made = _Bert(weights, heads, epsilon)
    states, mask = made.embeddings(), made.mask()
    for number in range(layers):
        states = made.layer(states, mask, f"encoder.layer.{number}")
    made.graph.add("Identity", states, outputs=["last_hidden_state"])
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [value(name, np.int64, ("batch", "sequence")) for name in names]
    hidden = len(weights["embeddings.LayerNorm.weight"])
    output = value("last_hidden_state", np.float32, ("batch", "sequence", hidden))
    return onnx_model.serialized(made.graph.model(inputs, [output], {}))


def main(published: Path, target: Path) -> None:
    """Write the model of a published zip as ONNX."""
    with zipfile.ZipFile(published) as opened:
        config = json.loads(opened.read("config.json"))
        stored = safetensors.read(opened.read("model.safetensors"))
    weights = {
        t.name: np.frombuffer(stored.raw(t), np.float32).reshape(t.shape)
        for t in stored.tensors
        if t.dtype == "float32"
    }
    sizes = {"layers": config["num_hidden_layers"], "heads": config["num_attention_heads"]}
    target.write_bytes(bert(weights, **sizes, epsilon=config["layer_norm_eps"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
