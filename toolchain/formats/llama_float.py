"""A llama GGUF model as a plain float32 ONNX graph (inputs: llama_interface).

Every weight is dequantized and every operator is standard ONNX, as an exporter would write it: the
language model before any optimization, and the reference for the one after. Rotary embedding is
by halves: GGUF's interleaved rows of q and k are put back in the order of the original checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from toolchain.formats import gguf
from toolchain.formats.gguf import GgufTensor
from toolchain.formats.gguf_blocks import as_float32
from toolchain.formats.llama import Llama, llama
from toolchain.formats.llama_interface import finished, last_positions, lengths, rms_norm
from toolchain.formats.onnx_builder import GraphBuilder
from toolchain.formats.onnx_model import serialized

_PAGE_BYTES = 4096  # tensors start on pages, so that onnxruntime can map them

Rows = NDArray[np.float32]


def write_fp32(source: Path, folder: Path) -> Path:
    """Write the float32 graph of a GGUF file to ``folder`` and return the path of the model.

    Errors:
        FormatError: ``source`` is not a GGUF model.
        InputError: it is not a plain llama model.
        OSError: ``source`` cannot be read or ``folder`` not be written.
    """
    model = gguf.read(np.memmap(source, np.uint8, mode="r").data)
    return write_float(llama(model), folder / f"{source.stem}.onnx")


def write_float(sizes: Llama, path: Path) -> Path:
    """Write the float32 graph to ``path`` and return it.

    The weights go to ``<path>.data`` beside it, one tensor at a time: 4 bytes a weight on disk, in
    memory never more than the largest tensor needs.
    """
    weights = path.with_name(f"{path.name}.data")
    with weights.open("wb") as out:
        graph = _FloatGraph(sizes, GraphBuilder(), out, weights.name)
        path.write_bytes(serialized(finished(graph.graph, sizes, graph.logits())))
    return path


@dataclass(frozen=True)
class _FloatGraph:
    llama: Llama
    graph: GraphBuilder
    out: BinaryIO
    file_name: str

    def logits(self) -> str:
        """Add the whole model; return the name of its (k, vocabulary) logits."""
        add, graph, llama = self.graph.add, self.graph, self.llama
        embedding = self._stored(llama.tensors["token_embd.weight"])
        ids = add("Reshape", "input_ids", graph.integers(-1))
        states = add("Gather", embedding, ids)
        turns = self._turns()
        for layer in range(llama.layers):
            normed = self._norm(states, llama.tensor(layer, "attn_norm"))
            states = add("Add", states, self._attention(layer, normed, turns))
            normed = self._norm(states, llama.tensor(layer, "ffn_norm"))
            states = add("Add", states, self._feed_forward(layer, normed))
        normed = self._norm(last_positions(graph, states), llama.tensors["output_norm.weight"])
        head = llama.tensors.get("output.weight")
        return add("Gemm", normed, self._stored(head) if head else embedding, transB=1)

    def _turns(self) -> tuple[str, str, str]:
        """Return cosines and sines (n, head_size / 2), and the mask (n, total) to add."""
        add, graph = self.graph.add, self.graph
        past, total = lengths(graph)
        zero, one = graph.scalar(0, np.int64), graph.scalar(1, np.int64)
        seen = add("Range", zero, add("Squeeze", total), one)
        new = add("Slice", seen, past, total)
        rows = add("Unsqueeze", new, graph.integers(1))
        frequencies = graph.constant("rope.frequencies", self.llama.rope_frequencies())
        angles = add("Mul", add("Cast", rows, to=TensorProto.FLOAT), frequencies)
        future = add("Greater", seen, rows)
        infinite = graph.constant("minus_infinity", np.array(-np.inf, np.float32))
        mask = add("Where", future, infinite, graph.scalar(0.0, np.float32))
        return add("Cos", angles), add("Sin", angles), mask

    def _attention(self, layer: int, normed: str, turns: tuple[str, str, str]) -> str:
        add, graph, llama = self.graph.add, self.graph, self.llama
        size, groups = llama.head_size, llama.heads // llama.kv_heads
        cosines, sines, mask = turns
        query = self._heads(layer, "attn_q", normed, llama.heads)
        key = self._rotated(self._heads(layer, "attn_k", normed, llama.kv_heads), cosines, sines)
        value = self._heads(layer, "attn_v", normed, llama.kv_heads)
        keys = self._remembered(layer, "key", key)
        values = self._remembered(layer, "value", value)
        # the query heads of one key head are rows of one product: nothing is repeated
        rotated = self._rotated(query, cosines, sines)
        grouped = add("Reshape", rotated, graph.integers(llama.kv_heads, -1, size))
        columns = add("Transpose", add("Squeeze", keys, graph.integers(0)), perm=(0, 2, 1))
        scores = add("MatMul", grouped, columns)
        scaled = add("Mul", scores, graph.scalar(float(np.float32(size**-0.5)), np.float32))
        _, total = lengths(graph)
        by_head = add("Concat", graph.integers(llama.kv_heads, groups, -1), total, axis=0)
        masked = add("Add", add("Reshape", scaled, by_head), mask)
        weights = add("Reshape", add("Softmax", masked, axis=-1), add("Shape", scores))
        mixed = add("MatMul", weights, add("Squeeze", values, graph.integers(0)))
        heads = add("Reshape", mixed, graph.integers(llama.heads, -1, size))
        rows = add("Transpose", heads, perm=(1, 0, 2))
        flat = add("Reshape", rows, graph.integers(-1, llama.heads * size))
        return self._linear(flat, llama.tensor(layer, "attn_output"))

    def _heads(self, layer: int, name: str, normed: str, heads: int) -> str:
        """Return (heads, n, head_size)."""
        tensor = self.llama.tensor(layer, name)
        order = (lambda rows: _by_halves(rows, heads)) if name != "attn_v" else None
        shape = self.graph.integers(-1, heads, self.llama.head_size)
        flat = self._linear(normed, tensor, order)
        return self.graph.add("Transpose", self.graph.add("Reshape", flat, shape), perm=(1, 0, 2))

    def _rotated(self, heads: str, cosines: str, sines: str) -> str:
        add, axis, half = self.graph.add, self.graph.integers(2), self.llama.head_size // 2
        first = add("Slice", heads, self.graph.integers(0), self.graph.integers(half), axis)
        end = self.graph.integers(2 * half)
        second = add("Slice", heads, self.graph.integers(half), end, axis)
        left = add("Sub", add("Mul", first, cosines), add("Mul", second, sines))
        right = add("Add", add("Mul", second, cosines), add("Mul", first, sines))
        return add("Concat", left, right, axis=-1)

    def _remembered(self, layer: int, side: str, new: str) -> str:
        """Return (1, kv_heads, total, head_size), which is an output too."""
        batch = self.graph.add("Unsqueeze", new, self.graph.integers(0))
        name = f"present.{layer}.{side}"
        return self.graph.add("Concat", f"past.{layer}.{side}", batch, outputs=[name], axis=2)

    def _feed_forward(self, layer: int, normed: str) -> str:
        add, llama = self.graph.add, self.llama
        gate = self._linear(normed, llama.tensor(layer, "ffn_gate"))
        silu = add("Mul", gate, add("Sigmoid", gate))
        up = self._linear(normed, llama.tensor(layer, "ffn_up"))
        return self._linear(add("Mul", silu, up), llama.tensor(layer, "ffn_down"))

    def _norm(self, states: str, norm: GgufTensor) -> str:
        weight = self.graph.constant(norm.name, as_float32(self.llama.model, norm))
        return rms_norm(self.graph, states, weight, self.llama.epsilon)

    def _linear(
        self, states: str, tensor: GgufTensor, order: Callable[[Rows], Rows] | None = None
    ) -> str:
        return self.graph.add("Gemm", states, self._stored(tensor, order), transB=1)

    def _stored(self, tensor: GgufTensor, order: Callable[[Rows], Rows] | None = None) -> str:
        """Write a tensor to the weights file and describe it in the graph; return its name."""
        if tensor.name not in self.graph.constants:
            rows = as_float32(self.llama.model, tensor)
            if order:
                rows = order(rows)
            self.out.write(bytes(-self.out.tell() % _PAGE_BYTES))
            place = {"location": self.file_name, "offset": self.out.tell(), "length": rows.nbytes}
            self.out.write(np.ascontiguousarray(rows).data)
            stored = TensorProto(name=tensor.name, data_type=TensorProto.FLOAT, dims=rows.shape)
            stored.data_location = TensorProto.EXTERNAL
            for key, value in place.items():
                stored.external_data.add(key=key, value=str(value))
            self.graph.constants[tensor.name] = stored
        return tensor.name


def _by_halves(rows: Rows, heads: int) -> Rows:
    """Reorder the rows of each head from pairs (0, 1), (2, 3) ... to halves: even, then odd."""
    columns = rows.shape[1]
    return rows.reshape(heads, -1, 2, columns).swapaxes(1, 2).reshape(-1, columns)
