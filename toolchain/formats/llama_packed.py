"""A llama GGUF model as an ONNX graph on its own 4- and 8-bit blocks (inputs: llama_interface).

Each quantized matrix becomes a MatMulNBits with the file's codes and scales, unchanged. Its codes
are read as ``scale * (code - 8)``; Q4_1 means ``scale * code + minimum``, so the rest, a constant
``minimum + 8 * scale`` a block, is multiplied with the sum of the block's activations and added.
(Rounding that constant to a 4-bit zero point would cost a third of top-1 agreement.) Matrices that
read the same activations are stacked: q, k and v; gate and up. The tied embedding is stored once:
gathered for the input and multiplied for the output.

Scales and minima stay float16 as in the file; onnxruntime widens them once, when it loads.
Rotary embedding is interleaved, the row order of GGUF files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto

from toolchain.errors import InputError
from toolchain.formats.gguf import GgufTensor
from toolchain.formats.gguf_blocks import BLOCK, Blocks, as_float32, blocks
from toolchain.formats.llama import Llama
from toolchain.formats.llama_interface import finished, last_positions, lengths, rms_norm
from toolchain.formats.onnx_builder import MICROSOFT, GraphBuilder

_MIDDLE = {4: 8, 8: 128}  # MatMulNBits' zero point where none is given


def packed_graph(llama: Llama, *, accuracy_level: int) -> ModelProto:
    """Return the graph; ``accuracy_level`` is MatMulNBits': 0 computes in float32, 4 in int8.

    Errors:
        InputError: a matrix is neither Q4_0, Q4_1 nor Q8_0.
    """
    return _Packer(llama, accuracy_level, GraphBuilder()).model()


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
    accuracy_level: int
    graph: GraphBuilder

    def model(self) -> ModelProto:
        llama = self.llama
        embedding = llama.tensors["token_embd.weight"]
        states = self._embedded(embedding)
        positions = self._positions()
        first_norm = self._vector(llama.tensor(0, "attn_norm"))
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
        logits = self._linear(last_positions(self.graph, normed), head.name, [head])
        return finished(self.graph, llama, logits)

    def _embedded(self, embedding: GgufTensor) -> str:
        """Return (n, hidden) float32: the rows of the tokens, exactly as dequantized."""
        add, graph = self.graph.add, self.graph
        if embedding.type_name != "Q8_0":
            raise InputError(
                f"the token embedding is {embedding.type_name}, not Q8_0",
                hint="quantize it with --token-embedding-type q8_0",
            )
        codes, scales = self._stored(embedding.name, blocks(self.llama.model, embedding))
        ids = add("Reshape", "input_ids", graph.integers(-1))
        rows = add("Cast", add("Gather", codes, ids), to=TensorProto.FLOAT)
        centered = add("Sub", rows, graph.scalar(_MIDDLE[8], np.float32))
        factors = add("Cast", add("Gather", scales, ids), to=TensorProto.FLOAT)
        numbers = add("Mul", centered, add("Unsqueeze", factors, graph.integers(2)))
        return add("Reshape", numbers, graph.integers(-1, self.llama.hidden))

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
        qkv = self._linear(normed, f"blk.{layer}.attn_qkv", parts)
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
        return self._linear(add("Squeeze", mixed, graph.integers(0)), output.name, [output])

    def _feed_forward(self, layer: int, normed: str) -> str:
        add, llama = self.graph.add, self.llama
        both = [llama.tensor(layer, "ffn_gate"), llama.tensor(layer, "ffn_up")]
        gate, up = f"gate.{layer}", f"up.{layer}"
        stacked = self._linear(normed, f"blk.{layer}.ffn_gate_up", both)
        add("Split", stacked, outputs=[gate, up], axis=-1, num_outputs=2)
        silu = add(f"{MICROSOFT}:QuickGelu", gate, alpha=1.0)  # x * sigmoid(x)
        down = llama.tensor(layer, "ffn_down")
        return self._linear(add("Mul", silu, up), down.name, [down])

    def _add_and_norm(self, states: str, change: str, norm: GgufTensor) -> tuple[str, str]:
        """Return (normed sum, sum)."""
        normed, total = f"{norm.name}.normed", f"{norm.name}.states"
        self.graph.add(
            f"{MICROSOFT}:SkipSimplifiedLayerNormalization",
            states,
            change,
            self._vector(norm),
            outputs=[normed, "", "", total],
            epsilon=self.llama.epsilon,
        )
        return normed, total

    def _linear(self, states: str, name: str, stacked: Sequence[GgufTensor]) -> str:
        """Return (n, rows) for (n, columns) ``states`` and matrices stacked row on row."""
        if len({tensor.type_name for tensor in stacked}) > 1:
            each = [self._linear(states, tensor.name, [tensor]) for tensor in stacked]
            return self.graph.add("Concat", *each, axis=-1)
        table = _stack([blocks(self.llama.model, tensor) for tensor in stacked])
        rows, count = table.scales.shape
        codes, scales = self._stored(name, table)
        factors = self._widened(scales)
        product = self.graph.add(
            f"{MICROSOFT}:MatMulNBits",
            states,
            codes,
            self.graph.add("Reshape", factors, self.graph.integers(-1)),
            K=count * BLOCK,
            N=rows,
            bits=table.bits,
            block_size=BLOCK,
            accuracy_level=self.accuracy_level,
        )
        if table.minima is None:
            return product
        minima = self._widened(self.graph.constant(f"{name}.minima", table.minima))
        return self._plus_minima(product, states, factors, minima)

    def _plus_minima(self, product: str, states: str, factors: str, minima: str) -> str:
        """Add each block's constant times the sum of its activations."""
        add, graph = self.graph.add, self.graph
        eight = graph.scalar(_MIDDLE[4], np.float32)
        constants = add("Add", minima, add("Mul", factors, eight))
        in_blocks = add("Reshape", states, graph.integers(0, -1, BLOCK))
        sums = add("ReduceSum", in_blocks, graph.integers(2), keepdims=0)
        return add("Gemm", sums, constants, product, transB=1)

    def _stored(self, name: str, table: Blocks) -> tuple[str, str]:
        codes = self.graph.constant(f"{name}.codes", table.codes)
        return codes, self.graph.constant(f"{name}.scales", table.scales)

    def _widened(self, name: str) -> str:
        return self.graph.add("Cast", name, to=TensorProto.FLOAT)

    def _vector(self, tensor: GgufTensor) -> str:
        return self.graph.constant(tensor.name, as_float32(self.llama.model, tensor))


def _stack(tables: Sequence[Blocks]) -> Blocks:
    """Put matrices of the same format on top of one another."""
    minima = [t.minima for t in tables if t.minima is not None]
    return Blocks(
        tables[0].bits,
        np.concatenate([t.codes for t in tables]),
        np.concatenate([t.scales for t in tables]),
        np.concatenate(minima) if minima else None,
    )
