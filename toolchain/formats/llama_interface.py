"""The inputs and outputs that every imported llama graph has, quantized or not.

Inputs
    ``input_ids`` (1, n) int64: the next n tokens of the text
    ``past.L.key``, ``past.L.value`` (1, kv_heads, past, head_size) float32 for each layer L:
        what the layer remembers of the ``past`` tokens before; past may be 0
    ``logits_from`` (1,) int64, optional, -1: the first of the n positions to give logits for

Outputs
    ``logits`` (1, k, vocabulary) float32: k = 1, the last position, unless ``logits_from`` says
        otherwise (0: all n)
    ``present.L.key``, ``present.L.value`` (1, kv_heads, past + n, head_size) float32: feed them as
        ``past.L.*`` with the tokens that follow

Positions follow from the size of ``past.0.key``. The model's metadata holds every key of the GGUF
file as JSON text (``tokenizer.ggml.tokens``, ``tokenizer.ggml.merges``,
``tokenizer.ggml.eos_token_id``, ``tokenizer.chat_template``, ``llama.context_length``): an
onnxruntime session has it in ``session.get_modelmeta().custom_metadata_map``.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from toolchain.formats.llama import Llama, metadata
from toolchain.formats.onnx_builder import GraphBuilder, value

_TO_THE_END = np.iinfo(np.int64).max


def last_positions(graph: GraphBuilder, states: str) -> str:
    """Cut (n, hidden) to the positions whose logits are wanted: (k, hidden)."""
    start = graph.constant("logits_from", np.array([-1], np.int64))
    return graph.add("Slice", states, start, graph.integers(_TO_THE_END), graph.integers(0))


def lengths(graph: GraphBuilder) -> tuple[str, str]:
    """Return the number of tokens before, and with, those of ``input_ids``: (1,) int64 each."""
    new = graph.add("Shape", "input_ids", start=1, end=2)
    past = graph.add("Shape", "past.0.key", start=2, end=3)
    return past, graph.add("Add", past, new)


def rms_norm(graph: GraphBuilder, states: str, weight: str, epsilon: float) -> str:
    """Divide each row by its root mean square and multiply by ``weight``; same shape.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """
    square = graph.add("ReduceMean", graph.add("Mul", states, states), graph.integers(-1))
    root = graph.add("Sqrt", graph.add("Add", square, graph.scalar(epsilon, np.float32)))
    return graph.add("Mul", graph.add("Div", states, root), weight)


def finished(graph: GraphBuilder, llama: Llama, logits: str) -> ModelProto:
    """Return the model whose logits are at (k, vocabulary) ``logits``."""
    graph.add("Unsqueeze", logits, graph.integers(0), outputs=["logits"])
    sides: list[tuple[str, tuple[int | str, ...]]] = [
        (f"{layer}.{side}", (1, llama.kv_heads, "past", llama.head_size))
        for layer in range(llama.layers)
        for side in ("key", "value")
    ]
    inputs = [
        value("input_ids", np.int64, (1, "n")),
        value("logits_from", np.int64, (1,)),
        *(value(f"past.{name}", np.float32, shape) for name, shape in sides),
    ]
    outputs = [
        value("logits", np.float32, (1, "k", llama.vocabulary)),
        *(
            value(f"present.{name}", np.float32, (*shape[:2], "total", shape[3]))
            for name, shape in sides
        ),
    ]
    return graph.model(inputs, outputs, metadata(llama.model))
