"""Writes small GGUF models for tests, with the writer and quantizer of the gguf package."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from numpy.typing import NDArray

Value = str | bool | int | float | list[str] | list[int]


@dataclass(frozen=True)
class Tensor:
    """Numbers in row-major order and the format to store them in."""

    name: str
    kind: str
    numbers: NDArray[np.float32]


def tensor(name: str, kind: str, *sizes: int) -> Tensor:
    """Return numbers that follow from the name; ``sizes`` in ggml's order, norms near one."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    numbers = generator.standard_normal(sizes[::-1]).astype(np.float32)
    norm = len(sizes) == 1
    return Tensor(name, kind, 1 + numbers / 8 if norm else numbers * np.float32(sizes[0] ** -0.5))


def llama(  # noqa: PLR0913 - sizes of a model, all named
    *,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    inner: int = 96,
    vocabulary: int = 64,
    tied: bool = True,
    kinds: Mapping[str, str] | None = None,
) -> tuple[dict[str, Value], list[Tensor]]:
    """Return metadata and tensors of a llama model; ``kinds`` overrides formats by name part."""
    kv = hidden // heads * kv_heads
    metadata: dict[str, Value] = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.context_length": 128,
        "llama.embedding_length": hidden,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10_000.0,
        "tokenizer.ggml.tokens": [f"\u0120{i}" for i in range(vocabulary)],
        "tokenizer.ggml.eos_token_id": 2,
    }
    shapes = {
        "attn_norm": (hidden,),
        "attn_q": (hidden, hidden),
        "attn_k": (hidden, kv),
        "attn_v": (hidden, kv),
        "attn_output": (hidden, hidden),
        "ffn_norm": (hidden,),
        "ffn_gate": (hidden, inner),
        "ffn_up": (hidden, inner),
        "ffn_down": (inner, hidden),
    }
    kinds = kinds or {}
    made = [tensor("token_embd.weight", kinds.get("token_embd", "Q8_0"), hidden, vocabulary)]
    for layer in range(layers):
        for part, sizes in shapes.items():
            kind = kinds.get(part, "F32" if len(sizes) == 1 else "Q4_1")
            made.append(tensor(f"blk.{layer}.{part}.weight", kind, *sizes))
    made.append(tensor("output_norm.weight", "F32", hidden))
    if not tied:
        made.append(tensor("output.weight", kinds.get("output", "Q8_0"), hidden, vocabulary))
    return metadata, made


def written(metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> bytes:
    """Return a GGUF file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        architecture = metadata.get("general.architecture")
        writer = GGUFWriter(path, str(architecture))
        for key, value in metadata.items():
            if key != "general.architecture":
                _add(writer, key, value)
        for one in tensors:
            kind = GGMLQuantizationType[one.kind]
            stored = quantize(np.ascontiguousarray(one.numbers), kind)
            writer.add_tensor(one.name, stored, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def _add(writer: GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
