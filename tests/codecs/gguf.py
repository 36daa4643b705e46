"""GGUF models in golden files: metadata as JSON values, tensors whose numbers follow from the name.

    general.architecture = "llama"
    llama.block_count = 1
    tokenizer.ggml.tokens = ["a", "b"]
    tensor token_embd.weight Q8_0 32 x 2
    tensor output_norm.weight F32 32

The dimensions are in ggml's order: the first is contiguous.
"""

from __future__ import annotations

import json

import numpy as np
import tiny_gguf

from toolchain.formats import gguf


def encode(text: str) -> bytes:
    """Return the model that ``text`` describes."""
    metadata: dict[str, tiny_gguf.Value] = {}
    tensors: list[tiny_gguf.Tensor] = []
    for line in text.splitlines():
        if line.startswith("tensor "):
            _, name, kind, *sizes = line.replace(" x ", " ").split()
            tensors.append(tiny_gguf.tensor(name, kind, *map(int, sizes)))
        else:
            key, _, value = line.partition(" = ")
            metadata[key] = json.loads(value)
    return tiny_gguf.written(metadata, tensors)


def decode(data: bytes) -> str:
    """Return the text of a model."""
    model = gguf.read(data)
    lines = []
    for key, value in model.metadata.items():
        plain = value.tolist() if isinstance(value, np.ndarray) else value
        lines.append(f"{key} = {json.dumps(plain, ensure_ascii=False)}")
    for tensor in model.tensors:
        sizes = " x ".join(map(str, tensor.shape))
        lines.append(f"tensor {tensor.name} {tensor.type_name} {sizes}")
    return "".join(f"{line}\n" for line in lines)
