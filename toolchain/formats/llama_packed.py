"""A llama GGUF model as an ONNX graph on its own blocks (inputs: llama_interface).

Weights are as ``llama_weights`` says. Matrices that read the same activations and have the same
format are stacked: q, k and v; gate and up. The tied embedding is stored once: gathered for the
input and multiplied for the output. Rotary embedding is interleaved, the row order of GGUF files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto

from toolchain.formats.gguf import GgufTensor
from toolchain.formats.llama import Llama
from toolchain.formats.llama_interface import finished, last_positions, lengths, rms_norm
from toolchain.formats.llama_weights import Weights
from toolchain.formats.onnx_builder import MICROSOFT, GraphBuilder


def packed_graph(llama: Llama, *, accuracy_level: int) -> ModelProto:
    """Return the graph; ``accuracy_level`` is MatMulNBits': 0 computes in float32, 4 in int8.

    Errors:
        InputError: a format that cannot be read, or weights that are no numbers.
    """
    graph = GraphBuilder()
    return _Packer(llama, graph, Weights(llama.model, graph, accuracy_level)).model()


def with_accuracy_level(model: ModelProto, level: int) -> int:
    """Set the accuracy level of every MatMulNBits in ``model``; return how many there are."""
    products = [node for node in model.graph.node if node.op_type == "MatMulNBits"]
    for node in products:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = level
    return len(products)


@dataclass(frozen=True)
class _Packer:
    llama: Llama
    graph: GraphBuilder
    weights: Weights

    def model(self) -> ModelProto:
        llama = self.llama
        embedding = llama.tensors["token_embd.weight"]
        states = self.weights.rows(embedding, "input_ids")
        positions = self._positions()
        first_norm = self.weights.vector(llama.tensor(0, "attn_norm"))
        normed = rms_norm(self.graph, states, first_norm, llama.epsilon)
        for layer in range(llama.layers):
            mixed = self._attention(layer, normed, positions)
            normed, states = self._add_and_norm(states, mixed, llama.tensor(layer, "ffn_norm"))
            fed = self._feed_forward(layer, normed)
            last = layer + 1 == llama.layers
            norm = (
                llama.tensors["output_norm.weight"]
                if last
                else llama.tensor(layer + 1, "attn_norm")
            )
            normed, states = self._add_and_norm(states, fed, norm)
        head = llama.tensors.get("output.weight", embedding)
        logits = self.weights.linear(last_positions(self.graph, normed), head.name, [head])
        return finished(self.graph, llama, logits)

    def _positions(self) -> tuple[str, str, str, str]:
        """Return what GroupQueryAttention wants to know: lengths, total, cosines and sines."""
        add, graph, llama = self.graph.add, self.graph, self.llama
        _, total = lengths(graph)
        total_32 = add("Cast", total, to=TensorProto.INT32)
        last = add("Sub", total_32, graph.constant("int32_1", np.array([1], np.int32)))
        steps = add(
            "Range", graph.scalar(0, np.int64), add("Squeeze", total), graph.scalar(1, np.int64)
        )
        column = add("Unsqueeze", add("Cast", steps, to=TensorProto.FLOAT), graph.integers(1))
        angles = add("Mul", column, graph.constant("rope.frequencies", llama.rope_frequencies()))
        return last, add("Squeeze", total_32), add("Cos", angles), add("Sin", angles)

    def _attention(self, layer: int, normed: str, positions: tuple[str, str, str, str]) -> str:
        add, graph, llama = self.graph.add, self.graph, self.llama
        parts = [llama.tensor(layer, f"attn_{part}") for part in "qkv"]
        qkv = self.weights.linear(normed, f"blk.{layer}.attn_qkv", parts)
        mixed = add(
            f"{MICROSOFT}:GroupQueryAttention",
            add("Unsqueeze", qkv, graph.integers(0)),
            "",
            "",
            f"past.{layer}.key",
            f"past.{layer}.value",
            *positions,
            outputs=[f"attention.{layer}", f"present.{layer}.key", f"present.{layer}.value"],
            num_heads=llama.heads,
            kv_num_heads=llama.kv_heads,
            do_rotary=1,
            rotary_interleaved=1,
        )
        output = llama.tensor(layer, "attn_output")
        return self.weights.linear(add("Squeeze", mixed, graph.integers(0)), output.name, [output])

    def _feed_forward(self, layer: int, normed: str) -> str:
        add, llama = self.graph.add, self.llama
        both = [llama.tensor(layer, "ffn_gate"), llama.tensor(layer, "ffn_up")]
        gate, up = f"gate.{layer}", f"up.{layer}"
        stacked = self.weights.linear(normed, f"blk.{layer}.ffn_gate_up", both)
        add("Split", stacked, outputs=[gate, up], axis=-1, num_outputs=2)
        silu = add(f"{MICROSOFT}:QuickGelu", gate, alpha=1.0)  # x * sigmoid(x)
        down = llama.tensor(layer, "ffn_down")
        return self.weights.linear(add("Mul", silu, up), down.name, [down])

    def _add_and_norm(self, states: str, change: str, norm: GgufTensor) -> tuple[str, str]:
        """Return (normed sum, sum)."""
        normed, total = f"{norm.name}.normed", f"{norm.name}.states"
        self.graph.add(
            f"{MICROSOFT}:SkipSimplifiedLayerNormalization",
            states,
            change,
            self.weights.vector(norm),
            outputs=[normed, "", "", total],
            epsilon=self.llama.epsilon,
        )
        return normed, total
